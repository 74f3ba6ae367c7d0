"""The verdict on a state, and its reasons in a sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Detour:
    """What is known about one state; NaN where a state was not tested.

    Attributes:
        state: number of the state.
        visited_by: runs that visited it before they converged.
        others: runs that did not.
        visitors: positions of the visitors.
        delay: restricted mean time of visitors less that of the others, in steps, as seen.
        low: lower end of its bootstrap interval.
        high: upper end.
        joint_delay: in steps, beyond what a run's time at risk explains, with the other optional states whose
            visitors are late held fixed.
        joint_low: lower end of its bootstrap interval.
        joint_high: upper end.
        p: one-sided permutation p of this state by itself.
        p_adjusted: the same over all states tested (max-T).
        p_bh: the same by Benjamini & Hochberg.
        stability: share of bootstrap resamples, or of the refits given, in which it is a detour too.
        is_detour: `p_adjusted` at most alpha, and the joint delay above 0 in at least 1 - alpha of the
            resamples.
        why: the verdict in a sentence.
    """

    state: int
    visited_by: int
    others: int
    visitors: tuple[int, ...]
    delay: float
    low: float
    high: float
    joint_delay: float
    joint_low: float
    joint_high: float
    p: float
    p_adjusted: float
    p_bh: float
    stability: float
    is_detour: bool
    why: str


class Measured(NamedTuple):
    """Runs on both sides, and delays with their intervals in steps."""

    visited_by: int
    others: int
    delay: float
    low: float
    high: float
    joint: float
    joint_low: float
    joint_high: float


def why_tested(is_detour: bool, found: Measured, p_adjusted: float, alpha: float) -> str:
    """Return the reason for the verdict on a state that was tested."""
    sides = f"{found.visited_by} runs visited it, {found.others} did not"
    seen = f"{abs(found.delay):.3g} steps {'later' if found.delay > 0 else 'earlier'}"
    if is_detour:
        return (
            f"A detour: {sides}; visitors converged {seen} ({found.low:.3g} to {found.high:.3g}), more than "
            f"their time at risk explains (adjusted p = {p_adjusted:.2g}), and {found.joint:.3g} steps later "
            f"with the other late states held fixed."
        )
    if found.delay <= 0:
        return f"Not a detour: {sides}; visitors converged no later ({seen})."
    if p_adjusted > alpha:
        return (
            f"Not a detour: {sides}; visitors converged {seen}, which chance or their longer time at risk "
            f"explains (adjusted p = {p_adjusted:.2g})."
        )
    return (
        f"Not a detour: {sides}; visitors converged {seen}, but with the other late states held fixed "
        f"{found.joint:.3g} ({found.joint_low:.3g} to {found.joint_high:.3g}): another state may be to blame."
    )


def why_untested(visited_by: int, others: int, untouched: int, min_runs: int, patience: int) -> str:
    """Return the reason why a state could not be tested."""
    sides = f"{visited_by} runs visited it before they converged, {others} did not"
    if visited_by < min_runs:
        return f"Not tested: {sides}; at least {min_runs} visits of {patience} rows in a row are needed."
    return (
        f"Not tested: {sides}, but only {untouched} converged without ever being in it, of {min_runs} "
        f"needed: the state is not optional."
    )
