import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.analysis.shuffling import signed_rank


def p_of_all_signs(values: np.ndarray) -> float:
    """Return the two-sided p by counting every pattern of signs."""
    ranks = stats.rankdata(np.abs(values)) * (values != 0)
    seen = ranks[values > 0].sum()
    sums = [ranks @ np.array(signs) for signs in itertools.product((0, 1), repeat=len(values))]
    lower, upper = np.mean(np.array(sums) <= seen), np.mean(np.array(sums) >= seen)
    return min(1.0, 2 * min(lower, upper))


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=10))
def test_p_counts_every_pattern_of_signs(values: list[int]) -> None:
    numbers = np.array(values, dtype=float)
    assert signed_rank(numbers).p == pytest.approx(p_of_all_signs(numbers), abs=1e-12)


def test_p_is_scipys_where_there_are_no_ties() -> None:
    rng = np.random.default_rng(0)
    for n in (6, 20, 50, 300):
        values = rng.normal(0.2, 1, n)
        method = "exact" if n <= 50 else "approx"
        expected = stats.wilcoxon(values, method=method).pvalue
        assert signed_rank(values).p == pytest.approx(expected, rel=1e-9 if n <= 50 else 0.02)


def test_the_estimate_and_the_interval_are_those_of_the_inverted_test() -> None:
    values = np.random.default_rng(1).normal(1, 1, 9)
    found = signed_rank(values)
    walsh = [(a + b) / 2 for a, b in itertools.combinations_with_replacement(values, 2)]
    assert found.estimate == pytest.approx(np.median(walsh))
    shifts = np.linspace(values.min(), values.max(), 4001)
    kept = [shift for shift in shifts if signed_rank(values - shift).p > 0.05]
    step = shifts[1] - shifts[0]
    assert found.low == pytest.approx(min(kept), abs=step)
    assert found.high == pytest.approx(max(kept), abs=step)


def test_one_value_moves_it_by_no_more_than_its_rank() -> None:
    values = np.array([0.1, 0.2, 0.15, 0.12, 0.3, 0.22, 0.18, 0.25, -0.01])
    near = signed_rank(np.append(values, 1.0))
    for far in (1e9, np.inf):
        found = signed_rank(np.append(values, far))
        assert found.p == near.p
        assert found.estimate == pytest.approx(near.estimate, abs=0.05)
    against = signed_rank(np.append(values, -1e9))
    assert against.estimate == pytest.approx(signed_rank(values).estimate, abs=0.05)
    assert against.p == pytest.approx(p_of_all_signs(np.append(values, -1.0)))


def test_the_least_p_and_when_there_is_no_interval() -> None:
    for n in range(1, 9):
        found = signed_rank(np.arange(1.0, n + 1))
        assert found.p == found.minimum_p == min(1.0, 2.0 ** (1 - n))
        assert np.isnan(found.low) == (n < 6)


def test_half_or_more_without_end_are_without_end() -> None:
    found = signed_rank(np.array([np.inf] * 6 + [-1.0, 0.5]))
    assert found.estimate == np.inf
    assert not np.isnan(found.high)


def test_refuses_what_has_no_rank() -> None:
    for values in ([], [np.nan], [-np.inf, 1.0]):
        with pytest.raises(ValueError, match="`values`"):
            signed_rank(np.array(values, dtype=float))
