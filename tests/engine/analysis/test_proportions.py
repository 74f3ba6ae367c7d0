import numpy as np
import pytest
from scipy import optimize, stats

from engine.analysis.proportions import share, share_difference


def of(count: int, n: int) -> np.ndarray:
    return np.arange(n) < count


def slow_wilson(count: int, n: int, confidence: float) -> tuple[float, float]:
    """The ends are where the score test of a share is just not rejected: found by bisection."""
    z = stats.norm.ppf(0.5 + confidence / 2)

    def score(p: float) -> float:
        return float(abs(count / n - p) - z * np.sqrt(p * (1 - p) / n))

    low = 0.0 if count == 0 else optimize.brentq(score, 1e-12, min(count / n, 1 - 1e-12))
    high = 1.0 if count == n else optimize.brentq(score, max(count / n, 1e-12), 1 - 1e-12)
    return low, high


@pytest.mark.parametrize(("count", "n"), [(0, 5), (1, 7), (13, 40), (40, 40), (81, 263)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_share_ends_where_the_score_test_rejects(count: int, n: int, confidence: float) -> None:
    found = share(of(count, n), confidence)
    assert (found.happened, found.n) == (count, n)
    assert (found.low, found.high) == pytest.approx(slow_wilson(count, n, confidence), abs=1e-9)


# Newcombe 1998a, table II, method 10.
@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_differences_of_independent_groups_as_published(
    a: tuple[int, int], b: tuple[int, int], low: float, high: float
) -> None:
    found = share_difference(of(*a), of(*b))
    assert found.estimate == pytest.approx(a[0] / a[1] - b[0] / b[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_pairs_that_agree_narrow_the_interval_and_it_covers() -> None:
    rng = np.random.default_rng(0)
    truth, n, inside, width, plain = 0.25, 30, 0, 0.0, 0.0
    for _ in range(1000):
        luck = rng.random(n)
        first, second = luck < 0.7, luck + rng.normal(0, 0.01, n) < 0.45
        paired, loose = share_difference(first, second, paired=True), share_difference(first, second)
        inside += paired.low <= truth <= paired.high
        width, plain = width + paired.high - paired.low, plain + loose.high - loose.low
    assert 0.92 < inside / 1000 < 0.995  # 95 % less four standard errors
    assert width < 0.95 * plain


def test_pairs_by_the_formula_written_out() -> None:
    first = np.array([True] * 12 + [False] * 8)
    second = np.array([True] * 7 + [False] * 13)
    both, only_first, only_second, neither = 7, 5, 0, 8
    phi = (both * neither - only_first * only_second - 20 / 2) / np.sqrt(12 * 8 * 7 * 13)
    (l1, u1), (l2, u2) = slow_wilson(12, 20, 0.95), slow_wilson(7, 20, 0.95)
    below = np.sqrt((0.6 - l1) ** 2 - 2 * phi * (0.6 - l1) * (u2 - 0.35) + (u2 - 0.35) ** 2)
    above = np.sqrt((u1 - 0.6) ** 2 - 2 * phi * (u1 - 0.6) * (0.35 - l2) + (0.35 - l2) ** 2)
    found = share_difference(first, second, paired=True)
    assert tuple(found) == pytest.approx((0.25, 0.25 - below, 0.25 + above), abs=1e-9)


def test_what_it_does_not_take() -> None:
    with pytest.raises(ValueError, match="at least one run"):
        share(of(0, 0))
    with pytest.raises(ValueError, match="strictly between"):
        share(of(1, 2), 1.0)
    with pytest.raises(ValueError, match="match in pairs; got 3 and 2"):
        share_difference(of(1, 3), of(1, 2), paired=True)
