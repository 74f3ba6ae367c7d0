"""Which states are detours: the verdict on every state, with its evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsFloat

import numpy as np
from jaxtyping import Real

from engine.analysis.detours.evidence import Evidence, weigh
from engine.analysis.detours.prepared import (
    MIN_RUNS,
    PATIENCE,
    Paths,
    Prepared,
    prepare,
    require_matching,
)
from engine.analysis.detours.stability import stability
from engine.analysis.detours.verdict import Detour, Measured, why_tested, why_untested
from engine.analysis.refits import Refits

ALIKE = 0.8
"""Correlation of the visits to two states from which `joint_delays` no longer tells them apart."""


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
    refits: Refits | None = None,
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
        refits: of the same runs; the stability of a state is then its share of refits (see `stability`), and
            otherwise that of bootstrap samples of the runs with the states held fixed.

    Raises:
        ValueError: runs that do not match, a state that does not exist, a number out of range, or fewer than
            two runs with rows.

    Source:
        Hu, Chen, Saphra & Cho 2023, section 3.4 (the idea); Peto & Peto 1972 (log-rank scores); the parts as
        named where they are computed.
    """
    require_matching(paths, converged_at, n_states, steps)
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
    data = prepare(paths, converged_at, n_states, steps, patience, min_runs)
    evidence = weigh(data, alpha, permutations, draws, seed)
    stable = np.full(n_states, np.nan)
    stable[data.tested] = evidence.stability
    if refits is not None:
        rule = {"patience": patience, "min_runs": min_runs}
        again = stability(refits, converged_at, n_states, seed, steps=steps, alpha=alpha, **rule)
        stable[data.tested] = again[data.tested]
    return [
        _verdict(data, evidence, state, float(stable[state]), alpha, confidence, min_runs, patience)
        for state in range(n_states)
    ]


def _verdict(
    data: Prepared,
    evidence: Evidence,
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


def _shared(data: Prepared, state: int) -> str:
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
