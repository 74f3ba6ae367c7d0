"""Single Shuffle against Random Reshuffle: whether they part ways, why, and when; and the other orders."""

import streamlit as st

from dashboard import (
    claims,
    order_divergence,
    order_effects,
    order_explanation,
    order_groups,
    ordering_race,
    queries,
    what_if_panel,
)
from dashboard.controls import Choice, choose, metric_picker, x_picker
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.order_effects import RISKS, Measured, Pairs
from data.traces import Axis

TITLE = "Shuffling"
ICON = ":material/shuffle:"
QUESTION = "Do Single Shuffle and Random Reshuffle part ways, and why?"
ORDER = 60

PARTS = ("Effect", "Why", "Divergence", "Orderings", "What if")
_FIRST = ("full_batch_risk", "test_loss", "own_batch_risk", "train_loss")


def render(lab: Lab) -> None:
    """Choose two arms and a control, then show what sets them apart, part by part."""
    choice = choose(lab.store, arms=False, seeds=False)
    known = queries.metrics(lab.store, choice.study.name)
    missing = _missing(choice, set(known))
    pairs = order_effects.pick(choice) if known and len(choice.arms) > 1 else None
    measured = RISKS
    if pairs is not None and missing:
        metric = metric_picker(known, _FIRST)
        measured = ((metric.name, metric.label),)
    x: Axis = "step" if pairs is None else x_picker()
    if pairs is not None:
        live(lab, choice.study.name, lambda: _verdict(lab, choice, pairs, measured))
    tabs = st.tabs(PARTS, key="shuffling.part", bind="query-params", on_change="rerun")
    for tab, name in zip(tabs, PARTS, strict=True):
        if tab.open:
            with tab:
                _part(lab, choice, name, pairs, x, missing, measured)


def _missing(choice: Choice, known: set[str]) -> str:
    """Return why two arms cannot be compared on both risks, or nothing."""
    if len(choice.arms) < 2:
        return "This comparison needs two arms that share seeds."
    if not {claims.OWN, claims.FULL} <= known:
        return (
            "This needs own-batch and full-batch risk, which this study has not recorded; Effect compares "
            "arms on any metric. Where the logs have both risks, call them `own_batch_risk` and "
            "`full_batch_risk` at the import."
        )
    return ""


def _verdict(lab: Lab, choice: Choice, pairs: Pairs, measured: Measured) -> None:
    version = lab.store.traces.version(choice.study.name)
    if measured != RISKS:
        ((name, title),) = measured
        if not order_groups.apart(choice, pairs):
            effect = queries.effect(lab.store, version, choice.study.name, name, pairs.a, pairs.b)
            order_effects.said_of_one(pairs, title, effect)
        return
    found = claims.finding(lab.store, version, choice.study, pairs.a, pairs.b)
    control = claims.finding(lab.store, version, choice.study, *pairs.control) if pairs.control else None
    if any(job.kind == "train" for job in queries.active_jobs(lab.store, choice.study.name)):
        st.caption(":material/sync: Training goes on; everything below is of what has been measured so far.")
    order_effects.said(found.reading, control.reading if control else None)
    order_effects.claim(lab, choice, version)


def _part(
    lab: Lab, choice: Choice, name: str, pairs: Pairs | None, x: Axis, missing: str, measured: Measured
) -> None:
    study = choice.study.name
    if name == "What if":
        what_if_panel.show(lab, study)
    elif name == "Orderings":
        live(lab, study, lambda: ordering_race.show(lab, choice, lab.store.traces.version(study)))
    elif pairs is None or (missing and name != "Effect"):
        st.info(missing, icon=":material/data_alert:")
    elif name == "Why":
        order_explanation.show(lab, choice, pairs, x)
    elif name == "Divergence":
        live(lab, study, lambda: order_divergence.show(lab, choice, pairs, lab.store.traces.version(study)))
    elif order_groups.apart(choice, pairs):
        order_groups.show(lab, choice, pairs, lab.store.traces.version(study), measured)
    else:
        live(
            lab,
            study,
            lambda: order_effects.show(lab, choice, pairs, x, lab.store.traces.version(study), measured),
        )
