import inspect

import numpy as np
import pytest

from engine.analysis.shuffling import divergence
from engine.analysis.survival import kaplan_meier, log_rank

STEPS = np.arange(0, 10_001, 50)
LOG = np.log(np.maximum(STEPS, 50))
RNG = np.random.default_rng


def falling(seeds: int = 8, noise: float = 0.01, seed: int = 0) -> np.ndarray:
    """Return risks that fall as 1 / t to a level of their own, with multiplicative noise."""
    rng = RNG(seed)
    level = 0.2 * rng.lognormal(0, 0.2, (seeds, 1))
    return (level + 30 / (STEPS + 50)) * np.exp(noise * rng.normal(size=(seeds, len(STEPS))))


def plateau(seeds: int = 8, noise: float = 0.1, seed: int = 0, memory: float = 0.0) -> np.ndarray:
    rng = RNG(seed)
    shocks = rng.normal(size=(seeds, len(STEPS)))
    for step in range(1, len(STEPS)):
        shocks[:, step] = memory * shocks[:, step - 1] + np.sqrt(1 - memory**2) * shocks[:, step]
    return 0.5 * np.exp(noise * shocks)


def growing(slope: float = 0.2, seeds: int = 8, noise: float = 0.02, seed: int = 1) -> np.ndarray:
    return 0.3 + slope * LOG + noise * RNG(seed).normal(size=(seeds, len(STEPS)))


class TestKind:
    def test_distortion_divergence_is_growth_on_the_full_batch_alone(self) -> None:
        found = divergence(STEPS, falling(), growing(0.2))
        assert found.kind == "distortion divergence"
        assert found.low <= 0.2 <= found.high
        assert found.slope == pytest.approx(0.2, abs=0.01)
        # 0.3 + 0.2 ln(t), from t = 5,000 to 10,000
        at_half, at_end = (0.3 + 0.2 * np.log(step) for step in (5_000, 10_000))
        assert found.growth == pytest.approx(at_end / at_half - 1, rel=0.1)
        # 0.2 + 30 / t falls, and never by more than everything
        assert -0.1 < found.own_growth < 0
        assert divergence(STEPS, np.tile(1e9 / (STEPS + 50.0) ** 2, (8, 1)), growing()).own_growth == (
            pytest.approx(0.25 - 1, abs=0.02)
        )
        assert found.p == 2**-7
        assert found.observed.all()

    def test_blow_up_is_growth_of_both(self) -> None:
        assert divergence(STEPS, growing(0.1), growing(0.3)).kind == "blow-up"

    def test_runs_that_end_without_a_finite_risk_blow_up(self) -> None:
        own, full = falling(), falling(seed=2)
        for risk in (own, full):
            risk[:6, STEPS > 4000] = np.nan
        found = divergence(STEPS, own, full)
        assert found.kind == "blow-up"
        assert "grows without bound (p = " in found.sentence
        assert "nan" not in found.sentence
        assert "inf" not in found.sentence

    def test_neither(self) -> None:
        assert divergence(STEPS, falling(), falling(seed=3)).kind == "none"
        assert divergence(STEPS, growing(), falling()).kind == "none"

    def test_rising_by_less_than_counts_is_none(self) -> None:
        found = divergence(STEPS, falling(), growing(0.001, noise=0.0))
        assert found.p < 0.05
        assert found.kind == "none"

    def test_too_few_seeds_decide_nothing(self) -> None:
        found = divergence(STEPS, falling(5), growing(seeds=5))
        assert found.kind == "undecided"
        assert "at least 6" in found.sentence
        assert np.isnan(found.low)


class TestRobustness:
    def test_one_seed_neither_makes_nor_breaks_it(self) -> None:
        calm = falling(8)
        for bad in (1e6 * (1 + STEPS / 1e4), np.where(STEPS > 4000, np.nan, 0.5)):
            full = falling(8, seed=2)
            full[3] = bad
            found = divergence(STEPS, calm, full)
            assert found.kind == "none"
            assert list(np.flatnonzero(found.observed)) == [3]
        full = growing()
        full[3] = falling(1, seed=5)[0]
        assert divergence(STEPS, calm, full).kind == "distortion divergence"

    @pytest.mark.parametrize("first", [5200, 7400, 8900])
    def test_a_spike_that_falls_back_is_no_divergence(self, first: int) -> None:
        full = falling(8, seed=2)
        full[:, (first <= STEPS) & (first + 700 > STEPS)] *= 1e4
        found = divergence(STEPS, falling(), full)
        assert found.kind == "none"
        assert not found.observed.any()
        full[2, first == STEPS] = np.inf
        assert divergence(STEPS, falling(), full).kind == "none"

    def test_a_spike_does_not_hide_a_divergence_or_move_its_time(self) -> None:
        full = growing(noise=0.0)
        plain = divergence(STEPS, falling(), full)
        full[:, (STEPS >= 6000) & (STEPS < 6300)] *= 100
        found = divergence(STEPS, falling(), full)
        assert found.kind == "distortion divergence"
        np.testing.assert_allclose(found.slopes, plain.slopes, rtol=1e-6)
        np.testing.assert_array_equal(found.at, plain.at)

    @pytest.mark.parametrize("memory", [0.0, 0.9])
    def test_noisy_plateaus_seldom_look_like_one(self, memory: float) -> None:
        false = sum(
            divergence(STEPS, plateau(seed=2 * k, memory=memory), plateau(seed=2 * k + 1, memory=memory)).kind
            != "none"
            for k in range(100)
        )
        assert false <= 5  # 5 % of 100


class TestTimes:
    def test_a_seed_diverges_from_its_turning_point_on(self) -> None:
        turn = np.array([1000, 2000, 3000, 4000, 5000, 1500, 2500, 3500])
        full = 0.2 + 1e-4 * np.abs(STEPS - turn[:, None])
        found = divergence(STEPS, falling(), full)
        # within 1 % of the least, 0.2, until 20 steps after the turn; smoothed over 10 rows of 50 steps
        np.testing.assert_allclose(found.at, turn, atol=300)

    def test_a_seed_that_ends_diverges_where_it_ends(self) -> None:
        full, own = falling(8), falling(8, seed=3)
        full[1, STEPS > 3000] = np.inf
        own[4, STEPS > 700] = np.nan
        found = divergence(STEPS, own, full)
        assert (found.at[1], found.at[4]) == (3050, 750)
        assert found.observed.sum() == 2
        assert (found.times[~found.observed] == 10_000).all()

    def test_a_bound_counts_from_where_it_is_passed_for_good(self) -> None:
        full = falling(8)
        full[0, (STEPS > 2000) & (STEPS < 3000)] = 9.0
        full[0, STEPS > 6000] = 9.0
        found = divergence(STEPS, falling(8, seed=3), full, bound=5.0)
        assert found.at[0] == 6050
        assert found.observed.sum() == 1

    def test_its_times_are_survival_data(self) -> None:
        diverging = divergence(STEPS, falling(), growing())
        calm = divergence(STEPS, falling(), falling(seed=2))
        times = np.concatenate([diverging.times, calm.times])
        observed = np.concatenate([diverging.observed, calm.observed])
        assert kaplan_meier(diverging.times, diverging.observed).survival[-1] == 0
        assert log_rank(times, observed, np.arange(16) < 8).p < 0.001


def test_refuses_too_little_and_what_does_not_match() -> None:
    with pytest.raises(ValueError, match="at least three in their last half; got 2"):
        divergence(np.array([0, 1, 2]), np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="must be"):
        inspect.unwrap(divergence)(STEPS, np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="at least one seed"):
        divergence(STEPS, np.ones((0, len(STEPS))), np.ones((0, len(STEPS))))
