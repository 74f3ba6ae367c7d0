"""Puts paired effects into sentences; a reversal is claimed only where the numbers claim it."""

import math
from dataclasses import dataclass
from typing import Literal

from dashboard.wording import p_value, significant
from engine.analysis.shuffling import Effect

Kind = Literal["reversal", "one direction", "mixed", "none", "unknown"]


@dataclass(frozen=True)
class Verdict:
    """What a pair of arms shows: a kind for the eye, a sentence for the reader, its numbers."""

    kind: Kind
    sentence: str
    numbers: str = ""


def ratio_text(effect: Effect) -> str:
    """Return "0.071 [0.065, 0.078]", the ratio of the arms with its interval."""
    low, high = math.exp(effect.low), math.exp(effect.high)
    ratio = significant(math.exp(effect.estimate))
    return f"{ratio} [{significant(low)}, {significant(high)}]" if math.isfinite(low) else ratio


def found(effect: Effect) -> bool:
    """Whether the arms differ at the effect's level: by the randomization test and by the interval."""
    apart = effect.low > 0 or effect.high < 0
    return effect.p <= effect.alpha and apart


def underpowered(effect: Effect) -> str:
    """Return a sentence when so few seeds can never reach the level, else nothing."""
    if effect.minimum_p <= effect.alpha:
        return ""
    return (
        f"{effect.n} pairs cannot reach p = {effect.alpha:g} (least attainable {significant(effect.minimum_p, 2)}); "
        f"train at least {effect.seeds_needed} seeds in both arms."
    )


def read(a: str, b: str, own: Effect | None, full: Effect | None) -> Verdict:
    """Say what arms `a` and `b` show, from the effects on own-batch and on full-batch risk."""
    if own is None or full is None:
        return Verdict(
            "unknown", f"{a} and {b} share fewer than two seeds with both risks: nothing can be said yet."
        )
    weak = underpowered(own) or underpowered(full)
    if weak:
        return Verdict("unknown", weak)
    sees_own, sees_full = found(own), found(full)
    n = min(own.n, full.n)
    numbers = (
        f"own-batch ratio {ratio_text(own)}, {p_value(own.p)}; "
        f"full-batch ratio {ratio_text(full)}, {p_value(full.p)}; n = {n} pairs"
    )
    if sees_own and sees_full and own.estimate * full.estimate < 0:
        better, worse = (a, b) if own.estimate < 0 else (b, a)
        return Verdict(
            "reversal",
            f"Sign reversal: {better} ends lower than {worse} on the risk of its own batches, "
            "but higher on the risk of the full batch.",
            numbers,
        )
    if sees_own and sees_full:
        better, worse = (a, b) if own.estimate < 0 else (b, a)
        return Verdict(
            "one direction", f"{better} ends lower than {worse} on both risks: no reversal ({numbers})."
        )
    if sees_own or sees_full:
        effect, where, other = (
            (own, "own-batch", "full-batch") if sees_own else (full, "full-batch", "own-batch")
        )
        better, worse = (a, b) if effect.estimate < 0 else (b, a)
        return Verdict(
            "mixed",
            f"{better} ends lower than {worse} on {where} risk; on {other} risk no difference is shown.",
            numbers,
        )
    return Verdict("none", f"No difference between {a} and {b} is shown on either risk.", numbers)
