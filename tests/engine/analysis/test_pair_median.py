import numpy as np
import pytest

from engine.analysis.pair_median import pair_median


def symmetric(n, seed=0):
    values = np.random.default_rng(seed).lognormal(size=(n, n))
    return (values + values.T) / 2


ALL = np.ones((9, 9), dtype=bool)


class TestPairMedian:
    def test_it_is_the_median_of_the_pairs_that_count(self):
        values = symmetric(9)
        arm = np.arange(9) < 5
        across = arm[:, None] != arm[None]
        found = pair_median(values, across, 0)
        told = [values[i, j] for i in range(9) for j in range(i) if arm[i] != arm[j]]
        assert found.value == pytest.approx(np.median(told))
        assert found.pairs == len(told) == 20
        assert found.low <= found.value <= found.high

    def test_resampling_is_that_of_networks_done_by_hand(self):
        values = symmetric(6)
        rng = np.random.default_rng(3)
        slow = []
        for times in rng.multinomial(6, np.full(6, 1 / 6), size=200):
            drawn = np.repeat(np.arange(6), times)
            pairs = [values[i, j] for k, i in enumerate(drawn) for j in drawn[:k] if i != j]
            slow.append(np.median(pairs))
        found = pair_median(values, np.ones((6, 6), dtype=bool), 3, 200)
        ends = np.quantile(slow, [0.025, 0.975], method="inverted_cdf")
        assert (found.low, found.high) == pytest.approx(tuple(ends))

    def test_it_is_wider_than_if_pairs_were_independent(self):
        # A network's own share of all its barriers: independent pairs would not know of it.
        own = np.random.default_rng(1).normal(size=30)
        values = own[:, None] + own[None]
        every = np.ones((30, 30), dtype=bool)
        found = pair_median(values, every, 0)
        pairs = values[np.triu_indices(30, 1)]
        rng = np.random.default_rng(2)
        alone = [np.median(rng.choice(pairs, len(pairs))) for _ in range(500)]
        naive = np.quantile(alone, 0.975) - np.quantile(alone, 0.025)
        assert found.high - found.low > 3 * naive

    def test_few_networks_have_no_interval_and_no_pair_no_median(self):
        few = pair_median(symmetric(4), ALL[:4, :4], 0)
        assert np.isfinite(few.value)
        assert np.isnan([few.low, few.high]).all()
        none = pair_median(symmetric(4), ~ALL[:4, :4], 0)
        assert none.pairs == 0
        assert np.isnan(none.value)

    def test_overflows_count_as_larger_than_anything(self):
        values = symmetric(9)
        values[0, 1:] = values[1:, 0] = np.inf
        found = pair_median(values, ALL, 0)
        assert np.isfinite(found.value)
        assert np.isinf(pair_median(np.full((9, 9), np.inf), ALL, 0).value)

    def test_nan_is_refused(self):
        with pytest.raises(ValueError, match="NaN"):
            pair_median(np.full((3, 3), np.nan), ALL[:3, :3], 0)
