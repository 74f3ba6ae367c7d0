"""The event of each run from which its trace is counted: divergence, a threshold, a change of state."""

from dataclasses import dataclass

import streamlit as st

from dashboard import queries
from dashboard.controls import Choice
from dashboard.convergence import rule_picker
from dashboard.fits import labelled, load, move_name
from dashboard.lab import Lab
from data.rows import MetricRow

KINDS = {
    "start": "Start of training",
    "divergence": "Divergence",
    "threshold": "Metric at a threshold",
    "transition": "Change of latent state",
}


@dataclass(frozen=True)
class Event:
    """A moment that runs have in common.

    Attributes:
        words: what it is, for an axis and a sentence: "divergence".
        steps: run and step of every run that has it.
        how: how it was found.
        state: the latent state that is entered, which has a colour; None for any other event.
    """

    words: str
    steps: tuple[tuple[int, int], ...]
    how: str
    state: int | None = None


def event_picker(lab: Lab, choice: Choice, known: dict[str, MetricRow]) -> Event | None:
    """Ask from which event x is counted; None for x as measured."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="traces.event"):
        kind = st.selectbox(
            "Align at", list(KINDS), format_func=lambda name: KINDS[name], width=210,
            key="traces.align", bind="query-params",
            help="Each run's own moment becomes 0, so that what happens around it can be compared.",
        )  # fmt: skip
        if kind == "transition":
            return _transition(lab, choice)
    if kind == "threshold":
        version = lab.store.traces.version(choice.study.name)
        rule = rule_picker(lab, choice.study, known, version)
        found = queries.crossings(
            lab.store,
            version,
            choice.study.name,
            rule.metric.name,
            rule.threshold,
            rule.direction,
            rule.patience,
        )
        return Event(rule.words, found, "first measured point from which it stays there for the patience")
    if kind == "divergence":
        at = tuple((run.id, run.diverged_at) for run in choice.runs if run.diverged_at is not None)
        return Event("divergence", at, "step at which the training recorded it")
    return None


def _transition(lab: Lab, choice: Choice) -> Event | None:
    """Ask which change of state, of which stored fit."""
    fits = labelled(lab.store.catalog.analyses(choice.study.name, "latent"))
    if not fits:
        st.info(
            "Latent states have not been fitted to this study yet; the view Latent states says how.",
            icon=":material/timeline:",
        )
        return None
    named = st.selectbox("Analysis", list(fits), width=320, key="traces.analysis", bind="query-params")
    fit = load(lab.store, fits[named])
    moves = {move_name(*pair): pair for pair in fit.changes()}
    picked = st.selectbox(
        "Change", list(moves), width=220, key="traces.move", bind="query-params",
        help="On the most probable path of each run; the first time where it happens more than once.",
    )  # fmt: skip
    if picked is None:
        return None
    source, target = moves[picked]
    words = f"{picked[:1].lower()}{picked[1:]}" if source is None else f"the move from {picked}"
    return Event(
        words, tuple(fit.moments(source, target).items()), f"Viterbi paths of analysis {fit.row.id}", target
    )
