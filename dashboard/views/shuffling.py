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
from dashboard.controls import Choice, choose, x_picker
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.order_effects import Pairs
from data.traces import Axis

TITLE = "Shuffling"
ICON = ":material/shuffle:"
QUESTION = "Do Single Shuffle and Random Reshuffle part ways, and why?"
ORDER = 60

PARTS = ("Effect", "Why", "Divergence", "Orderings", "What if")


def render(lab: Lab) -> None:
    """Choose two arms and a control, then show what sets them apart, part by part."""
    choice = choose(lab.store, arms=False, seeds=False)
    known = queries.metrics(lab.store, choice.study.name)
    missing = _missing(choice, set(known))
    pairs = None if missing else order_effects.pick(choice)
    x: Axis = "step" if pairs is None else x_picker()
    if pairs is not None:
        live(lab, choice.study.name, lambda: _verdict(lab, choice, pairs))
    tabs = st.tabs(PARTS, key="shuffling.part", bind="query-params", on_change="rerun")
    for tab, name in zip(tabs, PARTS, strict=True):
        if tab.open:
            with tab:
                _part(lab, choice, name, pairs, x, missing)


def _missing(choice: Choice, known: set[str]) -> str:
    """Return why two arms cannot be compared, or nothing."""
    if not {claims.OWN, claims.FULL} <= known:
        return "This comparison needs own-batch and full-batch risk, which this study has not recorded."
    if len(choice.arms) < 2:
        return "This comparison needs two arms that share seeds."
    return ""


def _verdict(lab: Lab, choice: Choice, pairs: Pairs) -> None:
    version = lab.store.traces.version(choice.study.name)
    found = claims.finding(lab.store, version, choice.study, pairs.a, pairs.b)
    control = claims.finding(lab.store, version, choice.study, *pairs.control) if pairs.control else None
    if any(job.kind == "train" for job in queries.active_jobs(lab.store, choice.study.name)):
        st.caption(":material/sync: Training goes on; everything below is of what has been measured so far.")
    order_effects.said(found.reading, control.reading if control else None)
    order_effects.claim(lab, choice, version)


def _part(lab: Lab, choice: Choice, name: str, pairs: Pairs | None, x: Axis, missing: str) -> None:
    study = choice.study.name
    if name == "What if":
        what_if_panel.show(lab, study)
    elif name == "Orderings":
        live(lab, study, lambda: ordering_race.show(lab, choice, lab.store.traces.version(study)))
    elif pairs is None:
        st.info(missing, icon=":material/data_alert:")
    elif name == "Why":
        order_explanation.show(lab, choice, pairs, x)
    elif name == "Divergence":
        live(lab, study, lambda: order_divergence.show(lab, choice, pairs, lab.store.traces.version(study)))
    elif order_groups.apart(choice, pairs):
        order_groups.show(lab, choice, pairs, lab.store.traces.version(study))
    else:
        live(lab, study, lambda: order_effects.show(lab, choice, pairs, x, lab.store.traces.version(study)))
