"""What a study's runs say of its claim: a verdict, and every number that it rests on."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from engine.analysis.shuffling import LEAST_RATIO, Effect, differs, paired_effect, same, underpowered

Kind = Literal["holds", "does not hold", "undecided"]
Expected = Literal["below", "above", "same", "not below", "not above"]
SAME_NUMBER = 1e-6
"""Relative difference up to which seeds count as having one and the same number: their starts, forgotten."""


@dataclass(frozen=True)
class Detail:
    """One comparison behind a verdict.

    Attributes:
        what: the quantity, for example "full-batch risk, SS / RR".
        kind: what this comparison says of its part of the claim.
        effect: a ratio (geometric mean over seeds) or a mean difference; None where there is none.
        low: lower end of its 95 % bootstrap interval; None where there is none.
        high: upper end.
        n: seeds that it rests on.
        p: two-sided randomization p-value of "no effect"; None where it was not tested.
        note: seeds that were left out and why; how many seeds are needed.
    """

    what: str
    kind: Kind
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    p: float | None = None
    note: str = ""

    @property
    def told(self) -> str:
        """The number in words, for example "full-batch risk, SS / RR: 3.71 [3.43, 3.97]"."""
        if self.effect is None:
            return f"{self.what}: no number yet"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.what}: {self.effect:.3g}{interval}"


@dataclass(frozen=True)
class Verdict:
    """Whether a study's claim holds, by the runs of a store.

    Attributes:
        kind: "holds" where every part of the claim is shown, "does not hold" where a part is ruled out.
        sentence: the same in words, with the numbers that decide.
        effect: of the comparison that decides, see ``Detail``.
        low: lower end of its interval.
        high: upper end.
        n: its seeds.
        p: its p-value.
        details: every comparison, one after the other.
    """

    kind: Kind
    sentence: str
    effect: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None = None
    details: tuple[Detail, ...] = ()


def compare(
    what: str,
    a: ArrayLike,
    b: ArrayLike,
    expected: Expected,
    least: float | None = None,
    statistic: Literal["log ratio", "difference"] = "log ratio",
) -> Detail:
    """Hold a seed by seed against b and say whether the difference is the expected one.

    "below" and "above" hold where the randomization test, the interval and the estimate say so, and fail
    where the whole interval falls short of `least`. "same" holds where the whole interval lies within `least`
    of no difference, and fails where a difference is shown. "not below" and "not above" hold where the whole
    interval stays within `least` on that side, and fail where it lies wholly beyond. Anything else is
    undecided, and so is everything with fewer seeds than can reach the level of 0.05.

    Args:
        what: the quantity in words.
        a: one value per seed; NaN where a seed has none.
        b: the same seeds' values to compare with, or one value for all; a difference to one value is told as
            the mean of `a` itself.
        expected: how a should lie to b.
        least: ratio above 1 (default 1.1), or difference above 0, from which on a difference counts.
        statistic: "log ratio" of positive quantities, or "difference".
    """
    left = np.asarray(a, dtype=np.float64)
    right = np.broadcast_to(np.asarray(b, dtype=np.float64), left.shape)
    given = ~(np.isnan(left) | np.isnan(right))
    try:
        effect = paired_effect(left[given], right[given], statistic=statistic)
    except ValueError as error:
        return Detail(what, "undecided", note=f"{error}" if given.any() else "No finished seed yet.")
    ratio = statistic == "log ratio"
    if least is None:
        least = LEAST_RATIO if ratio else 0.0
    kind, weak = _judge(effect, expected, math.log(least) if ratio else least), underpowered(effect)
    left_out = f"Left out: {'; '.join(effect.dropped_why)}." if effect.dropped else ""

    offset = float(right[given][0]) if np.ndim(b) == 0 and not ratio else 0.0

    def shown(value: float) -> float | None:
        value = _exp(value) if ratio else value + offset
        return value if math.isfinite(value) else None

    return Detail(
        what,
        "undecided" if weak else kind,
        shown(effect.estimate),
        shown(effect.low),
        shown(effect.high),
        effect.n,
        effect.p,
        " ".join(note for note in (weak, left_out) if note),
    )


def _judge(effect: Effect, expected: Expected, least: float) -> Kind:
    if expected == "same":
        fails = differs(effect, least)
        return "holds" if same(effect, least) else "does not hold" if fails else "undecided"
    # Everything else is told as if the expected side were above.
    sign = 1 if expected in ("above", "not below") else -1
    low, high = sorted((sign * effect.low, sign * effect.high))
    if expected in ("not below", "not above"):
        return "holds" if low > -least else "does not hold" if high < -least else "undecided"
    if differs(effect, least) and low > 0:
        return "holds"
    return "does not hold" if high < least else "undecided"


def fixed(what: str, values: ArrayLike, theory: float, margin: float) -> Detail:
    """Hold a quantity that no seed changes against a theory: one number, so n = 1 without interval or p.

    Args:
        what: the quantity in words.
        values: one value per seed, all the same but for rounding; NaN where a seed has none.
        theory: what it should be.
        margin: holds up to this far from it, and fails beyond.
    """
    told = np.asarray(values, dtype=np.float64)
    told = told[~np.isnan(told)]
    if not told.size:
        return Detail(what, "undecided", note="No finished seed yet.")
    value = float(np.median(told))
    if told.size < 2:
        return Detail(what, "undecided", value, n=1, note=f"Two seeds must show that they share the {what}.")
    if np.ptp(told) > SAME_NUMBER * np.abs(told).max():
        note = f"The {told.size} seeds differ in the {what}, which no seed should change."
        return Detail(what, "undecided", note=note)
    kind: Kind = "holds" if abs(value - theory) <= margin else "does not hold"
    return Detail(what, kind, value, n=1, note=f"The {what} is the same for every seed: one number, n = 1.")


def share(what: str, successes: ArrayLike, least: float) -> Detail:
    """Say whether more than a share of all seeds would succeed, by the exact binomial interval.

    Args:
        what: the quantity in words.
        successes: whether each finished seed succeeded.
        least: holds where the whole interval lies above it, fails where it lies below.

    Source:
        Clopper & Pearson 1934.
    """
    told = np.asarray(successes, dtype=bool)
    if not told.size:
        return Detail(what, "undecided", note="No finished seed yet.")
    tested = stats.binomtest(int(told.sum()), told.size, least)
    low, high = tested.proportion_ci(0.95)
    kind: Kind = "holds" if low > least else "does not hold" if high < least else "undecided"
    return Detail(what, kind, float(told.mean()), float(low), float(high), told.size, float(tested.pvalue))


def conclude(details: Sequence[Detail], sentence: str = "", notes: Sequence[str] = ()) -> Verdict:
    """Return the verdict of a claim all of whose parts must hold.

    Args:
        details: the parts, the one that matters most first.
        sentence: in place of the numbers that decide.
        notes: what else a reader must know, for example how many runs diverged.

    Raises:
        ValueError: no part.
    """
    if not details:
        raise ValueError("`details` must have at least one part.")
    kinds = {part.kind for part in details}
    kind: Kind = next((one for one in ("does not hold", "undecided") if one in kinds), "holds")
    deciding = [part for part in details if part.kind == kind]
    first = deciding[0]
    told = sentence or f"{_joined(deciding)} (n = {first.n})."
    if not sentence and (rest := [part for part in details if part.kind == "holds" != kind]):
        told += f" What holds: {_joined(rest)}."
    said = " ".join(part.note for part in deciding if part.note)
    # Comparisons that are open for the same reason say so once.
    words = dict.fromkeys([*(one for one in re.split(r"(?<=[.]) ", said) if one and one not in told), *notes])
    return Verdict(
        kind,
        " ".join([told, *words]),
        first.effect,
        first.low,
        first.high,
        first.n,
        first.p,
        tuple(details),
    )


def _joined(parts: Sequence[Detail]) -> str:
    return "; ".join(part.told for part in parts)


def _exp(value: float) -> float:
    with np.errstate(over="ignore"):
        return float(np.exp(value))
