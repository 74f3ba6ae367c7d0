"""Which states are detours: the verdict on every state, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from engine.analysis.detours.delay import joint_delays, marginal_delays
from engine.analysis.detours.randomization import Randomized, randomize, studentized
from engine.analysis.detours.verdict import Detour, Measured, why_tested, why_untested
from engine.analysis.detours.visits import Excess, Visits, beyond_exposure, visits
from engine.analysis.survival import log_rank_scores, pseudo_values

PATIENCE = 3
MIN_RUNS = 3
ALIKE = 0.8
"""Correlation of the visits to two states from which `joint_delays` no longer tells them apart."""
Paths = Sequence[Int[np.ndarray, " _"]]


class _Data(NamedTuple):
    """Runs that can be used, each up to its convergence."""

    positions: Int[np.ndarray, " runs"]
    times: Float[np.ndarray, " runs"]
    observed: Bool[np.ndarray, " runs"]
    visits: Visits
    tested: Int[np.ndarray, " tested"]
    converged_untouched: Int[np.ndarray, " states"]


class _Evidence(NamedTuple):
    """Of the states tested, in order; draws of the bootstrap come without the data itself."""

    test: Randomized
    delay: Float[np.ndarray, " tested"]
    delay_draws: Float[np.ndarray, "draws tested"]
    joint: Float[np.ndarray, " tested"]
    joint_draws: Float[np.ndarray, "draws tested"]
    is_detour: Bool[np.ndarray, " tested"]
    stability: Float[np.ndarray, " tested"]


def find(
    paths: Paths,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    seed: int = 0,
    *,
    steps: Sequence[Real[np.ndarray, " _"]] | None = None,
    patience: int = PATIENCE,
    min_runs: int = MIN_RUNS,
    alpha: float = 0.05,
    confidence: float = 0.95,
    permutations: int = 4999,
    draws: int = 1000,
    refits: Sequence[Paths] = (),
) -> list[Detour]:
    """Return the verdict on every state, in the order of their numbers.

    A state is tested if it is optional: at least `min_runs` runs visited it before they converged, and at
    least as many converged without a single row in it. The statistic is the log-rank score of convergence
    time against visited (0 or 1) less what the run's time at risk explains (`beyond_exposure`), since a run
    that is late for any reason has more time to visit any state. Runs that never converge are censored at
    their last step.

    What this cannot see: where a fit splits a long phase into an early and a late state, only runs that are
    slow in that phase reach the late one, and it looks like the slow side of a fork. And at 40 runs the
    correction for brief visits that happen anywhere at a constant rate is not exact: such a state passed at
    the 5 % level in 11 % of 300 data sets; one met only on a plateau of variable length passed in 5 %.

    Args:
        paths: most probable state at every row of each run; a run without rows is left out.
        converged_at: step of convergence of each run, None for never.
        n_states: number of states.
        seed: of permutations and bootstrap.
        steps: step of each row of each run, ascending; the row's own number where None.
        patience: consecutive rows that make a visit.
        min_runs: least number of runs on both sides.
        alpha: level of the test over all states together, one-sided.
        confidence: coverage of the intervals of the delays (bootstrap percentiles over runs).
        permutations: drawn for p.
        draws: of the bootstrap.
        refits: paths of the same runs under other fits, states matched to these; stability is then the share
            of refits in which a state is a detour, each judged as these paths are.

    Raises:
        ValueError: runs that do not match, a state that does not exist, a number out of range, or fewer than
            two runs with rows.

    Source:
        Hu, Chen, Saphra & Cho 2023, section 3.4 (the idea); Peto & Peto 1972 (log-rank scores); the parts as
        named where they are computed.
    """
    _check(paths, converged_at, n_states, steps)
    for name, number, least in (
        ("patience", patience, 1),
        ("min_runs", min_runs, 2),
        ("permutations", permutations, 1),
        ("draws", draws, 20),
    ):
        if number < least:
            raise ValueError(f"`{name}` must be at least {least}; got {number}.")
    for name, level in (("alpha", alpha), ("confidence", confidence)):
        if not 0.0 < level < 1.0:
            raise ValueError(f"`{name}` must be strictly between 0 and 1; got {level}.")
    data = _prepare(paths, converged_at, n_states, steps, patience, min_runs)
    evidence = _weigh(data, alpha, permutations, draws, seed)
    stability = np.full(n_states, np.nan)
    stability[data.tested] = evidence.stability
    if refits:
        times_found = np.zeros(n_states)
        for refit in refits:
            _check(refit, converged_at, n_states, steps)
            again = _prepare(refit, converged_at, n_states, steps, patience, min_runs)
            times_found[again.tested[_weigh(again, alpha, permutations, draws, seed).is_detour]] += 1
        stability[data.tested] = times_found[data.tested] / len(refits)
    return [
        _verdict(data, evidence, state, float(stability[state]), alpha, confidence, min_runs, patience)
        for state in range(n_states)
    ]


def _check(
    paths: Paths,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    steps: Sequence[Real[np.ndarray, " _"]] | None,
) -> None:
    if len(paths) != len(converged_at):
        raise ValueError(
            f"`converged_at` must have one entry per run; got {len(converged_at)} for {len(paths)} paths."
        )
    if sum(len(path) > 0 for path in paths) < 2:
        raise ValueError("`paths` must hold at least two runs with rows.")
    if steps is not None and list(map(len, steps)) != list(map(len, paths)):
        raise ValueError("`steps` must have one step for each row of each path.")
    for run, path in enumerate(paths):
        if len(path) and not 0 <= path.min() <= path.max() < n_states:
            raise ValueError(f"`paths[{run}]` must hold states 0 to {n_states - 1}; got {path.max()}.")
    for run, step in enumerate(converged_at):
        if step is not None and not np.isfinite(float(step)):
            raise ValueError(f"`converged_at[{run}]` must be a step, or None for never; got {step}.")


def _prepare(
    paths: Paths,
    converged_at: Sequence[SupportsFloat | None],
    n_states: int,
    steps: Sequence[Real[np.ndarray, " _"]] | None,
    patience: int,
    min_runs: int,
) -> _Data:
    positions, times, before = [], [], []
    for run, (path, step) in enumerate(zip(paths, converged_at, strict=True)):
        if not len(path):
            continue
        at = np.arange(len(path)) if steps is None else steps[run]
        positions.append(run)
        times.append(float(at[-1] if step is None else step))
        before.append(path if step is None else path[at < float(step)])
    observed = np.array([converged_at[run] is not None for run in positions])
    found = visits(before, n_states, patience, min_runs)
    untouched = (observed[:, None] & ~found.touched).sum(axis=0)
    tested = np.flatnonzero((found.visited.sum(axis=0) >= min_runs) & (untouched >= min_runs))
    return _Data(np.array(positions), np.array(times), observed, found, tested, untouched)


def _weigh(data: _Data, alpha: float, permutations: int, draws: int, seed: int) -> _Evidence:
    n, tested = len(data.times), data.tested
    if not len(tested):
        nothing, none = np.zeros(0), np.zeros((draws, 0))
        test = Randomized(nothing, nothing, nothing, nothing, np.inf)
        return _Evidence(test, nothing, none, nothing, none, np.zeros(0, dtype=bool), nothing)
    visited = data.visits.visited[:, tested]
    here = data.visits._replace(
        visited=visited,
        entries=data.visits.entries[:, tested],
        exposure=data.visits.exposure[:, tested],
    )
    itself = np.ones((1, n))
    excess = beyond_exposure(here, itself)
    scores = log_rank_scores(data.times, data.observed)
    test = randomize(scores, excess, permutations, alpha, seed)
    drawn = np.random.default_rng([seed, 2]).integers(n, size=(draws, n))
    counts = (drawn[:, :, None] == np.arange(n)).sum(axis=1).astype(float)
    again = beyond_exposure(here, counts)
    restricted = pseudo_values(data.times, data.observed, float(data.times.max()))
    joint, joint_draws = np.empty(len(tested)), np.empty((draws, len(tested)))
    for k in range(len(tested)):
        # Only a state whose visitors are late can be to blame. One that early runs reach follows from their
        # being early: held fixed, it would hide what made the others late.
        kept = np.flatnonzero((test.statistic > 0) | (np.arange(len(tested)) == k))
        own = int(np.flatnonzero(kept == k)[0])
        part = visited[:, kept]
        joint[k] = joint_delays(restricted, part, excess.visits[:, :, kept], itself)[0, own]
        joint_draws[:, k] = joint_delays(restricted, part, again.visits[:, :, kept], counts)[:, own]
    is_detour = (test.p_adjusted <= alpha) & ((joint_draws > 0).mean(axis=0) >= 1 - alpha)
    picked = Excess(*(np.take_along_axis(part, drawn[:, :, None], axis=1) for part in again))
    resampled = studentized(scores[drawn], picked)
    return _Evidence(
        test,
        marginal_delays(data.times, data.observed, visited, itself)[0],
        marginal_delays(data.times, data.observed, visited, counts),
        joint,
        joint_draws,
        is_detour,
        ((resampled >= test.critical) & (joint_draws > 0)).mean(axis=0),
    )


def _verdict(
    data: _Data,
    evidence: _Evidence,
    state: int,
    stability: float,
    alpha: float,
    confidence: float,
    min_runs: int,
    patience: int,
) -> Detour:
    visited = data.visits.visited[:, state]
    visitors = tuple(int(run) for run in data.positions[visited])
    with_it, without = int(visited.sum()), int((~visited).sum())
    nan = float("nan")
    if state not in data.tested:
        why = why_untested(with_it, without, int(data.converged_untouched[state]), min_runs, patience)
        return Detour(
            state, with_it, without, visitors, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, False, why
        )
    k = int(np.flatnonzero(data.tested == state)[0])
    ends = [0.5 - confidence / 2, 0.5 + confidence / 2]
    low, high = np.nanquantile(evidence.delay_draws[:, k], ends)
    joint_low, joint_high = np.quantile(evidence.joint_draws[:, k], ends)
    delay, joint = float(evidence.delay[k]), float(evidence.joint[k])
    p_adjusted = float(evidence.test.p_adjusted[k])
    is_detour = bool(evidence.is_detour[k])
    why = why_tested(
        is_detour,
        Measured(
            with_it, without, delay, float(low), float(high), joint, float(joint_low), float(joint_high)
        ),
        p_adjusted,
        alpha,
    )
    return Detour(
        state=state,
        visited_by=with_it,
        others=without,
        visitors=visitors,
        delay=delay,
        low=float(low),
        high=float(high),
        joint_delay=joint,
        joint_low=float(joint_low),
        joint_high=float(joint_high),
        p=float(evidence.test.p[k]),
        p_adjusted=p_adjusted,
        p_bh=float(evidence.test.p_bh[k]),
        stability=stability,
        is_detour=is_detour,
        why=why + _shared(data, state),
    )


def _shared(data: _Data, state: int) -> str:
    """Return with which other states this one shares its joint delay, in a sentence."""
    tested = data.visits.visited[:, data.tested].astype(float)
    ours = data.visits.visited[:, state].astype(float)
    same = [
        str(other)
        for other, theirs in zip(data.tested, tested.T, strict=True)
        if other != state and np.corrcoef(ours, theirs)[0, 1] > ALIKE
    ]
    if not same:
        return ""
    return f" Its visitors are nearly those of state {', '.join(same)}: the joint delay is shared."
