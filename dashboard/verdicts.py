"""Puts paired effects into sentences; a reversal is claimed only where the numbers claim it."""

import math
from dataclasses import dataclass
from typing import Literal

from dashboard.wording import significant
from engine.analysis.shuffling import Effect

Kind = Literal["reversal", "one direction", "mixed", "same", "none", "unknown"]
LEAST_RATIO = 1.1


@dataclass(frozen=True)
class Verdict:
    """What a pair of arms shows: a kind for the eye and a sentence for the reader."""

    kind: Kind
    sentence: str


def ratio_text(effect: Effect) -> str:
    """Return "0.071 [0.065, 0.078]", the ratio of the arms with its interval."""
    low, high = math.exp(effect.low), math.exp(effect.high)
    ratio = significant(math.exp(effect.estimate))
    return f"{ratio} [{significant(low)}, {significant(high)}]" if math.isfinite(low) else ratio


def differs(effect: Effect, least_ratio: float = LEAST_RATIO) -> bool:
    """Whether the arms differ: by the randomization test, by the interval, and by a ratio that counts."""
    apart = effect.low > 0 or effect.high < 0
    return effect.p <= effect.alpha and apart and abs(effect.estimate) >= math.log(least_ratio)


def same(effect: Effect, least_ratio: float = LEAST_RATIO) -> bool:
    """Whether the whole interval lies within the ratio from which on a difference counts."""
    return max(abs(effect.low), abs(effect.high)) < math.log(least_ratio)


def underpowered(effect: Effect) -> str:
    """Return a sentence when so few seeds can never reach the level, else nothing."""
    if effect.minimum_p <= effect.alpha:
        return ""
    least = significant(effect.minimum_p, 2)
    return (
        f"{effect.n} pairs cannot reach p = {effect.alpha:g} (least attainable {least}); "
        f"train at least {effect.seeds_needed} seeds in both arms."
    )


def read(
    a: str, b: str, own: Effect | None, full: Effect | None, least_ratio: float = LEAST_RATIO
) -> Verdict:
    """Say what arms `a` and `b` show, from the effects on own-batch and on full-batch risk."""
    if own is None or full is None:
        told = f"{a} and {b} share fewer than two seeds with both risks: nothing can be said yet."
        return Verdict("unknown", told)
    if weak := underpowered(own) or underpowered(full):
        return Verdict("unknown", weak)
    by_own, by_full = differs(own, least_ratio), differs(full, least_ratio)
    better, worse = (a, b) if (own if by_own else full).estimate < 0 else (b, a)
    if by_own and by_full and own.estimate * full.estimate < 0:
        told = (
            f"Sign reversal: {better} ends lower than {worse} on the risk of its own batches, "
            "but higher on the risk of the full batch."
        )
        return Verdict("reversal", told)
    if by_own and by_full:
        return Verdict("one direction", f"{better} ends lower than {worse} on both risks: no reversal.")
    if by_own or by_full:
        where, other = ("own-batch", "full-batch") if by_own else ("full-batch", "own-batch")
        told = f"{better} ends lower than {worse} on {where} risk; on {other} risk no difference is shown."
        return Verdict("mixed", told)
    margin = f"{(least_ratio - 1) * 100:.3g} %"
    if same(own, least_ratio) and same(full, least_ratio):
        told = f"{a} and {b} end within {margin} of each other on both risks, whole intervals included."
        return Verdict("same", told)
    told = f"No difference of {margin} or more between {a} and {b} is shown, nor is it ruled out."
    return Verdict("none", told)
