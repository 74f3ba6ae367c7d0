"""Which states a run visited before it converged, and how many visits its time at risk would explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int


class Stay(NamedTuple):
    """A stretch of consecutive rows in one state."""

    state: int
    start: int
    rows: int


class Visits(NamedTuple):
    """Visits before convergence.

    Attributes:
        visited: at least `patience` consecutive rows in the state.
        touched: at least one row in it.
        entries: 1 where the first visit to a state (middle axis) was entered from a source (last axis). The
            last source is the start of the run.
        exposure: how often, up to that visit, the run might have entered from that source.
    """

    visited: Bool[np.ndarray, "runs states"]
    touched: Bool[np.ndarray, "runs states"]
    entries: Float[np.ndarray, "runs states sources"]
    exposure: Float[np.ndarray, "runs states sources"]


def stays(path: Int[np.ndarray, " steps"], patience: int = 1) -> list[Stay]:
    """Return the stretches of a path in order, none for an empty path.

    Stretches shorter than the patience are passed over, and what they interrupt counts as one stretch of the
    rows that are left.
    """
    _, state, start, rows = _stretches([path], patience)
    return [Stay(*each) for each in zip(state.tolist(), start.tolist(), rows.tolist(), strict=True)]


def _stretches(
    paths: Sequence[Int[np.ndarray, " _"]], patience: int
) -> tuple[Int[np.ndarray, " stays"], ...]:
    """Return run, state, first row and length of the stays of all runs, run by run and in order."""
    lengths = np.array([len(path) for path in paths], dtype=int)
    begins = np.cumsum(lengths) - lengths
    flat = np.concatenate([*paths, np.zeros(0, dtype=int)])
    changes = np.concatenate([begins[lengths > 0], np.flatnonzero(np.diff(flat)) + 1])
    starts = np.unique(changes)
    run = np.repeat(np.arange(len(paths)), lengths)[starts]
    rows = np.diff(starts, append=len(flat))
    long = rows >= patience
    starts, run, rows = starts[long], run[long], rows[long]
    state = flat[starts].astype(int)
    new = np.ones(len(starts), dtype=bool)
    new[1:] = (np.diff(run) != 0) | (np.diff(state) != 0)
    first = np.flatnonzero(new)
    merged = np.add.reduceat(rows, first) if len(first) else rows
    return run[first], state[first], (starts - begins[run])[first], merged


def visits(paths: Sequence[Int[np.ndarray, " _"]], n_states: int, patience: int, min_runs: int) -> Visits:
    """Return which states were visited, and the exposure to each.

    A source is a state from which there was a choice: at least `min_runs` runs visited it and never visited
    the state in question. A state all of whose runs went on to it is part of the way in, and the entry counts
    as one from the source before. Exposure to a state is counted

    - at a fork, in departures from the source: who enters does not come back, so that whoever left otherwise
      made the other choice;
    - for an excursion, from which most runs come back to the source, in rows spent in the source: any of
      them might have been the one.

    Args:
        paths: states at the rows before convergence; all rows of a run that never converged.
        n_states: number of states.
        patience: consecutive rows that make a visit.
        min_runs: runs that make a choice.
    """
    n_runs = len(paths)
    run, at, _, rows = _stretches(paths, patience)
    ends = np.bincount(run, minlength=n_runs)
    index = np.arange(len(run)) - np.repeat(np.cumsum(ends) - ends, ends)
    visited, touched = np.zeros((n_runs, n_states), dtype=bool), np.zeros((n_runs, n_states), dtype=bool)
    visited[run, at] = True
    touched[_stretches(paths, 1)[:2]] = True
    choice = (~visited).T.astype(int) @ visited.astype(int) >= min_runs
    entries = np.zeros((n_runs, n_states, n_states + 1))
    exposure = np.zeros_like(entries)
    exposure[:, :, n_states] = 1
    for state in range(n_states):
        arrival = ends.copy()
        np.minimum.at(arrival, run[at == state], index[at == state])
        arrived = arrival < ends
        before = np.flatnonzero((index < arrival[run]) & choice[state, at])
        latest = np.full(n_runs, -1)
        np.maximum.at(latest, run[before], before)
        source = np.where(latest < 0, n_states, at[latest] if len(at) else n_states)
        entries[arrived, state, source[arrived]] = 1
        back = (index >= arrival[run]) & (at == source[run])
        returned = len(np.unique(run[back]))
        if 2 * returned > arrived.sum():
            # Too near to its end, a visit would not have been long enough to count.
            cut = np.where((index + 1 == arrival[run]) & arrived[run], 0, patience)
            opportunities = np.maximum(0, rows - cut)
        else:
            opportunities = (index + 1 < ends[run]).astype(int)
        np.add.at(exposure[:, state], (run[before], at[before]), opportunities[before])
    return Visits(visited, touched, entries, exposure)


class Excess(NamedTuple):
    """Visits beyond what exposure explains.

    Attributes:
        visits: visited (0 or 1) less the visits expected.
        variance: of that difference, expected from the exposure.
    """

    visits: Float[np.ndarray, "draws runs states"]
    variance: Float[np.ndarray, "draws runs states"]


def beyond_exposure(found: Visits, weights: Float[np.ndarray, "draws runs"]) -> Excess:
    """Return visited less the visits that the run's exposure explains.

    A run that takes longer has more time to visit anything (immortal time), so that even a harmless state is
    visited by later runs. From each source a state is entered at a rate, entries over exposure; expected
    visits are the sum of rate times exposure, up to the visit, and their variance is that of rate times
    (1 - rate). If entering at that rate has no bearing on when a run converges, the difference has mean 0 at
    every time of convergence. Where all runs pass the same fork once, it is the visit less its mean, and
    nothing is corrected.

    Args:
        found: visits.
        weights: how often each run counts in the rates, such as bootstrap counts.

    Source:
        Suissa 2008 (immortal time); Andersen, Borgan, Gill & Keiding 1993, section IV.1 (occurrence /
        exposure rates), II.4 (a count less its cumulative intensity is a martingale; its variation).
    """
    runs, states, sources = found.entries.shape
    entered = weights @ found.entries.reshape(runs, -1)
    exposed = weights @ found.exposure.reshape(runs, -1)
    rates = (entered / np.where(exposed > 0, exposed, np.inf)).reshape(-1, states, sources)
    expected = np.einsum("rks,bks->brk", found.exposure, rates)
    variance = np.einsum("rks,bks->brk", found.exposure, rates * (1 - rates).clip(min=0))
    return Excess(found.visited[None] - expected, variance)
