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
    if not len(path):
        return []
    starts = np.concatenate([[0], np.flatnonzero(np.diff(path)) + 1])
    lengths = np.diff(np.concatenate([starts, [len(path)]]))
    found: list[Stay] = []
    for start, rows in zip(starts[lengths >= patience], lengths[lengths >= patience], strict=True):
        state = int(path[start])
        if found and found[-1].state == state:
            found[-1] = found[-1]._replace(rows=found[-1].rows + int(rows))
        else:
            found.append(Stay(state, int(start), int(rows)))
    return found


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
    shape = (len(paths), n_states)
    split = [stays(path, patience) for path in paths]
    visited, touched = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for run, path in enumerate(paths):
        touched[run, path] = True
        visited[run, [stay.state for stay in split[run]]] = True
    choice = (~visited).T.astype(int) @ visited.astype(int) >= min_runs
    entries, exposure = np.zeros((*shape, n_states + 1)), np.zeros((*shape, n_states + 1))
    exposure[:, :, n_states] = 1
    for state in range(n_states):
        arrivals = [_arrival(run_stays, state) for run_stays in split]
        returned = 0
        for run, (run_stays, arrival) in enumerate(zip(split, arrivals, strict=True)):
            if arrival < len(run_stays):
                before = (s.state for s in reversed(run_stays[:arrival]) if choice[state, s.state])
                source = next(before, n_states)
                entries[run, state, source] = 1
                returned += any(stay.state == source for stay in run_stays[arrival:])
        excursion = 2 * returned > entries[:, state].sum()
        for run, (run_stays, arrival) in enumerate(zip(split, arrivals, strict=True)):
            for index, stay in enumerate(run_stays[:arrival]):
                if not choice[state, stay.state]:
                    continue
                if excursion:
                    # Too near to its end, a visit would not have been long enough to count.
                    rows = stay.rows if index + 1 == arrival < len(run_stays) else stay.rows - patience
                    exposure[run, state, stay.state] += max(0, rows)
                else:
                    exposure[run, state, stay.state] += index + 1 < len(run_stays)
    return Visits(visited, touched, entries, exposure)


def _arrival(run_stays: list[Stay], state: int) -> int:
    """Return the position of the first stay in a state; the number of stays if there is none."""
    return next((index for index, stay in enumerate(run_stays) if stay.state == state), len(run_stays))


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
