"""Puts paired effects into sentences; a reversal is claimed only where the numbers claim it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from engine.analysis.shuffling.effects import Effect

Kind = Literal["reversal", "one direction", "mixed", "same", "none", "unknown"]
LEAST_RATIO = 1.1


@dataclass(frozen=True)
class Reading:
    """What a pair of arms shows on both risks: a kind for the eye and a sentence for the reader."""

    kind: Kind
    sentence: str

    @property
    def separated(self) -> Literal["separated", "not separated", "undecided"]:
        """Whether the arms part ways: shown on a risk, ruled out on both, or neither."""
        if self.kind in ("reversal", "one direction", "mixed"):
            return "separated"
        return "not separated" if self.kind == "same" else "undecided"


def differs(effect: Effect, least: float = math.log(LEAST_RATIO)) -> bool:
    """Whether the arms differ: by the randomization test, by the interval, and by enough to count.

    Args:
        effect: of one arm against the other.
        least: from which distance from 0 on an estimate counts; a logarithm where the effect is a log ratio.
    """
    apart = effect.low > 0 or effect.high < 0
    return effect.p <= effect.alpha and apart and abs(effect.estimate) >= least


def same(effect: Effect, least: float = math.log(LEAST_RATIO)) -> bool:
    """Whether the whole interval lies within the distance from 0 from which on a difference counts."""
    return max(abs(effect.low), abs(effect.high)) < least


def underpowered(effect: Effect) -> str:
    """Return a sentence when so few seeds can never reach the level, else nothing."""
    if effect.minimum_p <= effect.alpha:
        return ""
    return (
        f"{effect.n} pairs cannot reach p = {effect.alpha:g} (least attainable {effect.minimum_p:.2g}); "
        f"train at least {effect.seeds_needed} seeds in both arms."
    )


def read(
    a: str, b: str, own: Effect | None, full: Effect | None, least_ratio: float = LEAST_RATIO
) -> Reading:
    """Say what arms `a` and `b` show, from their log ratios of own-batch and of full-batch risk.

    Two tests are made, so that a difference on one risk alone must reach half the level: of arms that do not
    differ no more than the level are then said to.

    Source:
        Hochberg 1988.
    """
    if own is None or full is None:
        told = f"{a} and {b} share fewer than two seeds with both risks: nothing can be said yet."
        return Reading("unknown", told)
    if weak := underpowered(own) or underpowered(full):
        return Reading("unknown", weak)
    least = math.log(least_ratio)
    by_own, by_full = differs(own, least), differs(full, least)
    if by_own != by_full:
        by_own, by_full = (by and one.p <= one.alpha / 2 for by, one in ((by_own, own), (by_full, full)))
    better, worse = (a, b) if (own if by_own else full).estimate < 0 else (b, a)
    if by_own and by_full and own.estimate * full.estimate < 0:
        told = (
            f"Sign reversal: {better} ends lower than {worse} on the risk of its own batches, "
            "but higher on the risk of the full batch."
        )
        return Reading("reversal", told)
    if by_own and by_full:
        return Reading("one direction", f"{better} ends lower than {worse} on both risks: no reversal.")
    if by_own or by_full:
        where, other = ("own-batch", "full-batch") if by_own else ("full-batch", "own-batch")
        told = f"{better} ends lower than {worse} on {where} risk; on {other} risk no difference is shown."
        return Reading("mixed", told)
    margin = f"{(least_ratio - 1) * 100:.3g} %"
    if same(own, least) and same(full, least):
        told = f"{a} and {b} end within {margin} of each other on both risks, whole intervals included."
        return Reading("same", told)
    told = f"No difference of {margin} or more between {a} and {b} is shown, nor is it ruled out."
    return Reading("none", told)
