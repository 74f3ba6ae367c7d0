import numpy as np
import pytest

from engine.analysis.restricted_difference import restricted_difference
from engine.analysis.survival import restricted_mean


def runs(seed: int, late: float = 30.0, n: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two groups, the first later by `late`; watched for 150 steps."""
    rng = np.random.default_rng(seed)
    first = np.arange(2 * n) < n
    event = rng.gamma(4, 20, 2 * n) + late * first
    return np.minimum(event, 150.0), event <= 150, first


def test_the_estimate_is_the_difference_of_two_restricted_means() -> None:
    times, observed, first = runs(0)
    assert not observed.all()
    assert times[first].max() == times[~first].max() == 150
    expected = (
        restricted_mean(times[first], observed[first], 150.0).mean
        - restricted_mean(times[~first], observed[~first], 150.0).mean
    )
    assert restricted_difference(times, observed, first).estimate == pytest.approx(expected)


def test_the_interval_is_that_of_a_bootstrap_run_by_run() -> None:
    times, observed, first = runs(1)
    rng = np.random.default_rng(5)
    slow = []
    for _ in range(800):
        a, b = (rng.choice(np.flatnonzero(group), group.sum()) for group in (first, ~first))
        slow.append(
            restricted_mean(times[a], observed[a], 150.0).mean
            - restricted_mean(times[b], observed[b], 150.0).mean
        )
    found = restricted_difference(times, observed, first, draws=4000)
    width = found.high - found.low
    assert (found.low, found.high) == pytest.approx(
        tuple(np.quantile(slow, [0.025, 0.975])), abs=0.12 * width
    )


def test_it_covers_the_truth_and_says_nothing_of_a_single_run() -> None:
    inside = 0
    for seed in range(60):
        times, observed, first = runs(seed, late=0.0)
        found = restricted_difference(times, observed, first, draws=300)
        inside += found.low <= 0 <= found.high
    assert inside >= 52  # 57 expected
    alone = restricted_difference(np.array([5.0, 3.0, 4.0]), np.ones(3, bool), np.array([True, False, False]))
    assert alone.estimate == pytest.approx(1.5)
    assert np.isnan(alone.low)


def test_what_it_does_not_take() -> None:
    times, observed = np.array([1.0, 2.0]), np.ones(2, bool)
    with pytest.raises(ValueError, match="both groups"):
        restricted_difference(times, observed, np.ones(2, bool))
    with pytest.raises(ValueError, match="strictly between"):
        restricted_difference(times, observed, np.array([True, False]), confidence=0.0)
