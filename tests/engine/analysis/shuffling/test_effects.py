import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.analysis.shuffling import effects, paired_effect


def brute_force_p(differences: np.ndarray) -> float:
    observed = abs(np.mean(differences))
    patterns = list(itertools.product((1.0, -1.0), repeat=len(differences)))
    extreme = [abs(np.mean(np.array(signs) * differences)) >= observed - 1e-12 for signs in patterns]
    return sum(extreme) / len(patterns)


class TestRandomization:
    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
    def test_p_is_the_share_of_all_sign_patterns(self, differences: list[int]) -> None:
        b = np.zeros(len(differences))
        a = np.array(differences, dtype=float)
        assert paired_effect(a, b, statistic="difference").p == pytest.approx(brute_force_p(a))

    def test_log_ratio_p(self) -> None:
        rng = np.random.default_rng(3)
        a, b = rng.lognormal(0.5, 1, 10), rng.lognormal(0, 1, 10)
        effect = paired_effect(a, b)
        assert effect.p == brute_force_p(np.log(a / b))
        assert effect.estimate == pytest.approx(np.mean([np.log(x / y) for x, y in zip(a, b, strict=True)]))
        assert effect.ratio == pytest.approx(stats.gmean(a / b))

    def test_the_least_p_is_reached_when_every_pair_agrees(self) -> None:
        for n, least in ((3, 0.25), (5, 0.0625), (6, 0.03125), (16, 2**-15)):
            effect = paired_effect(np.arange(2.0, 2 + n), np.ones(n))
            assert effect.p == effect.minimum_p == least
            assert effect.exact
            assert effect.draws == 2**n
            assert effect.seeds_needed == 6

    @pytest.mark.parametrize(("alpha", "n"), [(0.05, 6), (0.01, 8), (0.5, 2), (0.0625, 5)])
    def test_seeds_needed(self, alpha: float, n: int) -> None:
        assert paired_effect(np.ones(2), np.ones(2), alpha=alpha).seeds_needed == n

    def test_many_pairs_are_drawn_at_random_and_agree_with_the_exact_answer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rng = np.random.default_rng(5)
        a, b = rng.normal(0.4, 1, 18), np.zeros(18)
        exact = paired_effect(a, b, statistic="difference")
        monkeypatch.setattr(effects, "EXACT_UP_TO", 10)
        drawn = paired_effect(a, b, statistic="difference")
        assert exact.exact
        assert not drawn.exact
        assert drawn.draws == 100_000
        assert drawn.p != exact.p
        assert drawn.p == pytest.approx(exact.p, abs=4 * (exact.p * (1 - exact.p) / 1e5) ** 0.5)

    def test_random_p_is_never_zero(self) -> None:
        effect = paired_effect(np.full(40, 2.0), np.ones(40))
        assert effect.p == effect.minimum_p == 1 / 100_001

    def test_p_is_uniform_under_exchangeability(self) -> None:
        rng = np.random.default_rng(7)
        p = [
            paired_effect(rng.normal(size=7), rng.normal(size=7), statistic="difference").p
            for _ in range(300)
        ]
        assert abs(np.mean(np.array(p) <= 0.25) - 0.25) < 0.1


class TestInterval:
    def test_is_scipys_bca(self) -> None:
        values = np.random.default_rng(0).lognormal(size=25)
        found = paired_effect(values, np.zeros(25), statistic="difference")
        expected = stats.bootstrap(
            (values,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1)
        ).confidence_interval
        width = expected.high - expected.low
        assert found.low == pytest.approx(expected.low, abs=0.03 * width)
        assert found.high == pytest.approx(expected.high, abs=0.03 * width)

    def test_covers_about_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(2)
        covered = 0
        for _ in range(200):
            effect = paired_effect(rng.normal(1, 1, 16), np.zeros(16), statistic="difference")
            covered += effect.low <= 1 <= effect.high
        assert 0.87 <= covered / 200 <= 0.99

    def test_pairs_that_agree_exactly_leave_no_width(self) -> None:
        effect = paired_effect(np.full(5, 2.0), np.ones(5))
        assert effect.low == effect.high == effect.estimate == pytest.approx(np.log(2))

    def test_equal_arms_have_no_effect(self) -> None:
        effect = paired_effect(np.full(5, 2.0), np.full(5, 2.0))
        assert (effect.estimate, effect.p, effect.ratio) == (0.0, 1.0, 1.0)


class TestPairs:
    def test_unusable_pairs_are_counted_and_explained(self) -> None:
        a = np.array([1.0, 2.0, np.nan, 4.0, -1.0, 0.0, 3.0])
        b = np.array([1.0, 1.0, 1.0, np.inf, 1.0, 1.0, 2.0])
        effect = paired_effect(a, b)
        assert (effect.n, effect.dropped) == (3, 4)
        assert [line[:2] for line in effect.dropped_why] == ["2 ", "2 "]
        difference = paired_effect(a, b, statistic="difference")
        assert (difference.n, difference.dropped, difference.ratio) == (5, 2, None)
        assert difference.estimate == pytest.approx(np.mean([0, 1, -2, -1, 1]))

    def test_a_single_pair_shows_nothing(self) -> None:
        effect = paired_effect(np.array([2.0]), np.array([1.0]))
        assert (effect.p, effect.minimum_p, effect.n) == (1.0, 1.0, 1)
        assert np.isnan(effect.low)
        assert np.isnan(effect.high)

    def test_no_usable_pair_is_an_error_that_says_why(self) -> None:
        with pytest.raises(ValueError, match=r"of 2 pairs: 1 with a value that is not finite; 1 with"):
            paired_effect(np.array([np.nan, -1.0]), np.array([1.0, 1.0]))

    def test_neither_order_nor_direction_matters(self) -> None:
        rng = np.random.default_rng(0)
        for n in (9, 25):
            a, b = rng.lognormal(size=n), rng.lognormal(size=n)
            order = rng.permutation(n)
            assert paired_effect(a, b, seed=3) == paired_effect(a[order], b[order], seed=3)
        forward, backward = paired_effect(a[:9], b[:9]), paired_effect(b[:9], a[:9])
        assert forward.p == backward.p
        assert forward.estimate == pytest.approx(-backward.estimate)

    def test_huge_and_tiny_values_do_not_overflow(self) -> None:
        effect = paired_effect(np.array([1e300, 1e300]), np.array([1e-300, 1e-300]))
        assert effect.estimate == pytest.approx(600 * np.log(10))
        assert effect.ratio == float("inf")

    def test_whole_numbers_are_values_too(self) -> None:
        assert paired_effect(np.array([4, 4]), np.array([2, 2])).ratio == pytest.approx(2)

    @pytest.mark.parametrize(
        ("argument", "value"), [("alpha", 0.0), ("alpha", 1.0), ("confidence", 95.0), ("alpha", float("nan"))]
    )
    def test_refuses_levels_outside_their_range(self, argument: str, value: float) -> None:
        with pytest.raises(ValueError, match=f"`{argument}`"):
            paired_effect(np.ones(3), np.ones(3), **{argument: value})

    def test_refuses_unknown_statistics_and_unpaired_arms(self) -> None:
        unchecked = inspect.unwrap(paired_effect)  # types are unchecked outside tests
        with pytest.raises(ValueError, match="`statistic` must be"):
            unchecked(np.ones(3), np.ones(3), statistic="ratio")
        with pytest.raises(ValueError, match="`a` and `b` must pair up; got 3 and 2"):
            unchecked(np.ones(3), np.ones(2))
