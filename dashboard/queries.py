"""What the views ask of the store, kept by the version of the data that answered.

Every cache here is bounded, keyed on the data's version and never on a frame; sessions share the answers.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from data.rows import JobRow, MetricRow, RunRow, RunState, StudyRow
from data.store import Store
from data.traces import Axis, Direction, RunMatrix, Thinned
from engine.analysis.shuffling import Effect, paired_effect
from engine.jobs.verdicts import judged
from engine.studies import Verdict

BY_ROOT: dict[str | type, Any] = {Store: lambda store: str(store.root)}
ACTIVE = ("queued", "running")
Names = tuple[str, ...] | None
Seeds = tuple[int, ...] | None
Events = tuple[tuple[int, int], ...] | None
"""Run and step of an event from which x is counted."""


def arm_names(study: StudyRow, runs: Sequence[RunRow | RunState]) -> list[str]:
    """Return every arm of a study in the study's order, which fixes the arms' colours."""
    named = [str(arm["name"]) for arm in study.config.get("arms", [])]
    return named + sorted({run.arm for run in runs} - set(named))


def active_jobs(store: Store, study: str | None = None) -> list[JobRow]:
    """Return the jobs that are waiting or at work, the newest first."""
    jobs = [job for job in store.catalog.jobs(study) if job.status in ACTIVE]
    return sorted(jobs, key=lambda job: job.id, reverse=True)


def metrics(store: Store, study: str) -> dict[str, MetricRow]:
    """Return what each column of the study's traces is, by name."""
    return {metric.name: metric for metric in store.catalog.metrics(study)}


@st.cache_data(max_entries=96, show_spinner=False, hash_funcs=BY_ROOT)
def thin(
    store: Store,
    version: str,
    study: str,
    metric: str,
    x: Axis,
    arms: Names,
    seeds: Seeds,
    first: float | None,
    last: float | None,
    points: int,
    window: int,
    events: Events = None,
) -> Thinned:
    """Return the points to draw for each run: see `Traces.thin`."""
    return store.traces.thin(
        study, metric, x=x, arms=arms, seeds=seeds, first=first, last=last, points=points, window=window,
        events=None if events is None else dict(events),
    )  # fmt: skip


def bands(
    store: Store,
    version: str,
    study: str,
    metric: str,
    x: Axis,
    arms: Names,
    first: float | None,
    last: float | None,
    events: Events = None,
) -> pd.DataFrame:
    """Return the bands of whole arms, which do not depend on the other arms: see `Traces.bands`."""
    spread = _all_bands(store, version, study, metric, x, first, last, events)
    return spread if arms is None else spread[spread["arm"].isin(arms)].reset_index(drop=True)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_ROOT)
def _all_bands(
    store: Store,
    version: str,
    study: str,
    metric: str,
    x: Axis,
    first: float | None,
    last: float | None,
    events: Events,
) -> pd.DataFrame:
    moments = None if events is None else dict(events)
    return store.traces.bands(study, metric, x=x, first=first, last=last, points=200, events=moments)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_ROOT)
def crossings(
    store: Store, version: str, study: str, metric: str, threshold: float, direction: Direction, patience: int
) -> tuple[tuple[int, int], ...]:
    """Return run and step of every run that crosses a threshold: see `Traces.crossings`."""
    found = store.traces.crossings(study, metric, threshold, direction, patience).dropna(subset=["step"])
    return tuple(zip(found["run"].tolist(), found["step"].tolist(), strict=True))


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_ROOT)
def last(store: Store, version: str, study: str, names: tuple[str, ...], share: float = 0.1) -> pd.DataFrame:
    """Return each run's mean over the last share of its measured points: see `Traces.last`."""
    return store.traces.last(study, list(names), share=share)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=BY_ROOT)
def pairs(store: Store, version: str, study: str, metric: str, a: str, b: str) -> pd.DataFrame:
    """Return the seeds that both arms trained, with each arm's final level: seed, a, b."""
    levels = last(store, version, study, (metric,))[["arm", "seed", "value"]]
    left = levels[levels["arm"] == a].rename(columns={"value": "a"})[["seed", "a"]]
    right = levels[levels["arm"] == b].rename(columns={"value": "b"})[["seed", "b"]]
    return left.merge(right, on="seed").sort_values("seed", ignore_index=True)


@st.cache_data(max_entries=512, show_spinner=False, hash_funcs=BY_ROOT)
def effect(store: Store, version: str, study: str, metric: str, a: str, b: str) -> Effect | None:
    """Return the paired effect of arm `a` against `b`; None with fewer than two usable seeds."""
    table = pairs(store, version, study, metric, a, b)
    left, right = table["a"].to_numpy(np.float64), table["b"].to_numpy(np.float64)
    usable = np.isfinite(left) & np.isfinite(right) & (left > 0) & (right > 0)
    return paired_effect(left, right, seed=0) if usable.sum() >= 2 else None


def verdict(store: Store, version: str, study: StudyRow, states: Sequence[RunState]) -> Verdict | None:
    """Return what the runs say of the study's claim; None where it has no verdict or no runs.

    Raises:
        LabError: what the verdict needs is gone, for example a file of data.
    """
    if not states or study.source != "engine":
        return None
    # A run may come to its end without a new row, and then counts.
    ended = hashlib.blake2b(repr([(run.id, run.status) for run in states]).encode()).hexdigest()
    # Kept for everybody, so it is the lab that keeps it, whoever looks first.
    return _verdict(store.machine, version, study.name, ended)


@st.cache_data(max_entries=48, show_spinner=False, hash_funcs=BY_ROOT)
def _verdict(store: Store, version: str, study: str, ended: str) -> Verdict | None:
    return judged(store, study)


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=BY_ROOT)
def matrices(store: Store, version: str, study: str, metric: str) -> list[RunMatrix]:
    """Return a metric of each run on an even grid of at most 1,000 measured points: see `Traces.matrices`."""
    return store.traces.matrices(study, [metric])
