import itertools

import numpy as np
import pytest

from engine.analysis.median_interval import median_interval


@pytest.mark.parametrize("n", range(6, 15))
def test_coverage_by_every_pattern_of_values_below_and_above_the_median(n):
    """Each value lies below the true median with probability 1/2: all 2^n patterns are equally likely."""
    found = median_interval(np.arange(1.0, n + 1))
    below = np.array([sum(pattern) for pattern in itertools.product((0, 1), repeat=n)])

    def coverage(k):  # x_(k) <= median <= x_(n + 1 - k)
        return np.mean((below >= k) & (below <= n - k))

    k = int(found.low)
    assert found.high == n + 1 - k
    assert coverage(k) >= 0.95
    assert coverage(k + 1) < 0.95
    assert found.value == (n + 1) / 2


def test_too_few_values_have_no_interval():
    for n in range(1, 6):
        found = median_interval(np.ones(n))
        assert found.value == 1
        assert np.isnan([found.low, found.high]).all()
    assert np.isnan(median_interval(np.array([]))).all()


def test_the_order_of_the_values_does_not_matter():
    values = np.random.default_rng(0).normal(size=40)
    assert median_interval(values) == median_interval(np.sort(values)[::-1])


def test_confidence_is_a_probability():
    with pytest.raises(ValueError, match="`confidence`"):
        median_interval(np.ones(9), 1.0)
