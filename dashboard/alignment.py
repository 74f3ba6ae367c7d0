"""The event of each run from which its trace is counted: divergence, a threshold, a change of state."""

from dataclasses import dataclass, replace

import streamlit as st

from dashboard import queries
from dashboard.controls import Choice
from dashboard.convergence import rule_picker
from dashboard.fits import analysis_picker, load, move_name
from dashboard.lab import Lab
from data.rows import MetricRow
from data.traces import Axis

KINDS = {
    "start": "Start of training",
    "divergence": "Divergence",
    "threshold": "Metric at a threshold",
    "transition": "Change of latent state",
}
SINCE = {"step": "Steps", "epoch": "Epochs", "seconds": "Seconds"}


@dataclass(frozen=True)
class Event:
    """A moment that runs have in common.

    Attributes:
        words: what it is, for an axis and a sentence: "divergence".
        steps: run and step of every run that has it.
        how: how it was found.
        state: the latent state that is entered, which has a colour; None for any other event.
        span: how far on both sides the traces are shown, in units of x; None for all of them.
    """

    words: str
    steps: tuple[tuple[int, int], ...]
    how: str
    state: int | None = None
    span: float | None = None


def event_picker(lab: Lab, choice: Choice, known: dict[str, MetricRow], x: Axis) -> Event | None:
    """Ask from which event x is counted, and how far on both sides; None for x as measured."""
    study = choice.study.name
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="traces.event"):
        kind = st.selectbox(
            "Align at", list(KINDS), format_func=lambda name: KINDS[name], width=190,
            key="traces.align", bind="query-params",
            help="Each run's own moment becomes 0, so that what happens around it can be compared.",
        )  # fmt: skip
        if kind == "start":
            return None
        event = _transition(lab, choice) if kind == "transition" else None
        span = st.number_input(
            f"{SINCE[x]} around it", min_value=0.0, value=None, placeholder="all", width=150, format="%.6g",
            key=f"traces.{x}.around", bind="query-params",
            help="Zoom: what lies this close to the event is read again from the store at full resolution.",
        )  # fmt: skip
    if kind == "threshold":
        version = lab.store.traces.version(study)
        rule = rule_picker(lab, choice.study, known, version)
        found = queries.crossings(
            lab.store, version, study, rule.metric.name, rule.threshold, rule.direction, rule.patience
        )
        event = Event(rule.words, found, "first measured point from which it stays there for the patience")
    if kind == "divergence":
        at = tuple((run.id, run.diverged_at) for run in choice.runs if run.diverged_at is not None)
        event = Event("divergence", at, "step at which the training recorded it")
    return None if event is None else replace(event, span=span or None)


def _transition(lab: Lab, choice: Choice) -> Event:
    """Ask which change of state, of which stored fit."""
    rows = lab.store.catalog.analyses(choice.study.name, "latent")
    if not rows:
        return Event(
            "a change of latent state; none have been fitted, which the view Latent states does", (), ""
        )
    fit = load(lab.store, analysis_picker(rows, "traces.analysis", 250))
    moves = {move_name(*pair): pair for pair in fit.changes()}
    picked = st.selectbox(
        "Change", list(moves), width=190, key="traces.move", bind="query-params",
        help="On the most probable path of each run; the first time where it happens more than once.",
    )  # fmt: skip
    if picked is None:
        return Event("a change of latent state", (), f"Viterbi paths of analysis {fit.row.id}")
    source, target = moves[picked]
    words = f"{picked[:1].lower()}{picked[1:]}" if source is None else f"the move from {picked}"
    found = tuple(fit.moments(source, target).items())
    return Event(words, found, f"Viterbi paths of analysis {fit.row.id}", target)
