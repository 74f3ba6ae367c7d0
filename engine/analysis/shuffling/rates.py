"""How fast the error of an ordering falls with the number of epochs: measured slopes, and those of theory."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Num

from engine.analysis.t_interval import t_interval

SAME_NUMBER = 1e-6
"""Relative difference up to which seeds count as having one and the same number."""

Against = Literal["K", "K / ln(nK)"]


class Level(NamedTuple):
    """The error of many seeds as one number.

    Attributes:
        centre: geometric mean, in units of the error; NaN without a usable value.
        low: lower end of its 95 % interval; NaN with fewer than two values that differ.
        high: upper end.
        n: values that it rests on; 1 where all seeds have one and the same.
        left_out: values that are not finite or not positive.
    """

    centre: float
    low: float
    high: float
    n: int
    left_out: int


class Rate(NamedTuple):
    """A power of the number of epochs.

    Attributes:
        slope: of the mean log error against the logarithm of K, or of K / ln(nK); NaN without a seed.
        low: lower end of its 95 % interval; NaN with fewer than two seeds that differ.
        high: upper end.
        n: seeds with a usable error for every K; 1 where all of them have one and the same slope.
        left_out: errors that are not finite or not positive. Their seeds do not count for any K, as the mean
            at each K must be over the same seeds.
    """

    slope: float
    low: float
    high: float
    n: int
    left_out: int


def level(errors: Float[np.ndarray, " seeds"]) -> Level:
    """Return the geometric mean of errors, with the t interval of the mean log error.

    Args:
        errors: one value a seed, in any unit.

    Source:
        Student 1908, on the logarithm.
    """
    usable = np.isfinite(errors) & (errors > 0)
    mean, low, high, n = _interval(np.log(errors[usable]), SAME_NUMBER)
    centre, low, high = np.exp([mean, low, high]).tolist()
    return Level(centre, low, high, n, int((~usable).sum()))


def rate(
    errors: Float[np.ndarray, "seeds budgets"],
    budgets: Num[np.ndarray, " budgets"],
    against: Against = "K",
    examples: int | None = None,
) -> Rate:
    """Return the least-squares slope of the mean log error over seeds against the log of the budget.

    The slope of the mean is the mean of the seeds' slopes; its interval is Student's over these. An error of
    exactly C K^-2 gives -2.

    Args:
        errors: one row a seed, in any unit; NaN where there is none.
        budgets: K, the epochs of each column, in increasing order.
        against: ``"K"`` for ln K, or ``"K / ln(nK)"`` for ln(K / ln(nK)), which takes out the logarithm that
            a step size of ln(nK) / (mu n K) brings along.
        examples: n, the steps of an epoch; only for ``"K / ln(nK)"``.

    Raises:
        ValueError: fewer than two budgets, budgets that are not positive and increasing, or an `examples`
            that is missing or too small for ln(nK) to be above 1, from where on K / ln(nK) grows.

    Source:
        Student 1908; of the step size, Safran & Shamir 2021.
    """
    budgets = np.asarray(budgets, dtype=np.float64)
    if len(budgets) < 2 or not (budgets[0] > 0 and (np.diff(budgets) > 0).all()):
        raise ValueError(f"`budgets` must be two or more, positive and increasing; got {budgets.tolist()}.")
    x = np.log(budgets)
    if against == "K / ln(nK)":
        if examples is None or examples * budgets[0] <= np.e:
            raise ValueError(f"`examples` must be so many that ln(nK) is above 1; got {examples}.")
        x -= np.log(np.log(examples * budgets))
    x -= x.mean()
    usable = np.isfinite(errors) & (errors > 0)
    slopes = np.log(errors[usable.all(axis=1)]) @ x / (x @ x)
    same = SAME_NUMBER * float(np.abs(slopes).max(initial=0.0))
    return Rate(*_interval(slopes, same), int((~usable).sum()))


def _interval(values: Float[np.ndarray, " seeds"], same: float) -> tuple[float, float, float, int]:
    """Return the mean, the ends of its interval, and the values it rests on: 1 if all agree to `same`."""
    if not values.size:
        return np.nan, np.nan, np.nan, 0
    mean = float(values.mean())
    if values.size == 1 or np.ptp(values) <= same:
        return mean, np.nan, np.nan, 1
    ends = t_interval(np.asarray(mean), np.asarray(values.std(ddof=1)), np.asarray(values.size))
    return mean, float(ends.low), float(ends.high), values.size


class ReferenceRate(NamedTuple):
    """How the worst error over strongly convex problems falls, up to constants and powers of ln(nK).

    Attributes:
        formula: in words, with n components (the steps of an epoch) and K epochs.
        terms: exponents of n and of K; the rate is the sum of n^a K^b.
        source: who proved it.
    """

    formula: str
    terms: tuple[tuple[int, int], ...]
    source: str

    @property
    def exponents(self) -> tuple[int, ...]:
        """The powers of K, from the one that decides at few epochs to the one at many."""
        return tuple(sorted(power for _, power in self.terms))

    def at(self, examples: int, budgets: Num[np.ndarray, " budgets"]) -> Float[np.ndarray, " budgets"]:
        """Return the rate without its constant.

        Args:
            examples: n.
            budgets: K.
        """
        epochs = np.asarray(budgets, dtype=np.float64)
        parts = [float(examples) ** of_n * epochs**of_k for of_n, of_k in self.terms]
        rates: Float[np.ndarray, " budgets"] = np.sum(parts, axis=0)
        return rates


_QUADRATICS = "Safran & Shamir 2020, 2021"

REFERENCE_RATES: dict[str, ReferenceRate] = {
    "WR": ReferenceRate("1/(nK)", ((-1, -1),), "Safran & Shamir 2021"),
    "IGM": ReferenceRate("1/K²", ((0, -2),), "Safran & Shamir 2020"),
    "SS": ReferenceRate("1/(nK²)", ((-1, -2),), _QUADRATICS),
    "RR": ReferenceRate("1/(nK)² + 1/(nK³)", ((-2, -2), (-1, -3)), _QUADRATICS),
}
"""By ordering. The two terms of RR are equal at K = n: below it the error falls like K^-3, above like K^-2.
The lower bounds are of 2020, the bounds on quadratics of 2021.

Orderings whose rate is for other problems, or could not be checked against its source, are left out.
"""
