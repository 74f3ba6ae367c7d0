import warnings
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from engine.analysis.survival import kaplan_meier, log_rank, log_rank_scores, pseudo_values, restricted_mean

# Weeks in remission (Freireich et al. 1963), as in Kalbfleisch & Prentice 2002, table 1.1; + is censored.
TREATED = "6 6 6 6+ 7 9+ 10 10+ 11+ 13 16 17+ 19+ 20+ 22 23 25+ 32+ 32+ 34+ 35+"
PLACEBO = "1 1 2 2 3 4 4 5 5 8 8 8 8 11 11 12 12 15 17 22 23"


def parsed(text: str) -> tuple[np.ndarray, np.ndarray]:
    words = text.split()
    return np.array([float(word.rstrip("+")) for word in words]), np.array(
        [word[-1] != "+" for word in words]
    )


def censored_sample(seed: int, n: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers, so that there are ties, also of events with censoring."""
    rng = np.random.default_rng(seed)
    event, end = rng.integers(1, 12, n), rng.integers(3, 15, n)
    return np.minimum(event, end).astype(float), event <= end


class TestKaplanMeier:
    def test_by_its_definition_in_exact_fractions(self) -> None:
        for seed in range(20):
            times, observed = censored_sample(seed)
            curve = kaplan_meier(times, observed)
            share = Fraction(1)
            for at, survival in zip(curve.times, curve.survival, strict=True):
                risk = sum(1 for t in times if t >= at)
                share *= 1 - Fraction(
                    sum(1 for t, o in zip(times, observed, strict=True) if o and t == at), risk
                )
                assert survival == pytest.approx(float(share))

    @pytest.mark.parametrize("seed", range(5))
    def test_agrees_with_scipy(self, seed: int) -> None:
        times, observed = censored_sample(seed)
        other = stats.ecdf(stats.CensoredData(times[observed], right=times[~observed])).sf
        curve = kaplan_meier(times, observed, confidence=0.9)
        keep = curve.survival > 0
        assert curve.survival == pytest.approx(other.evaluate(curve.times))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # its interval where the share is 0
            interval = other.confidence_interval(0.9, method="log-log")
        assert curve.low[keep] == pytest.approx(interval.low.evaluate(curve.times)[keep])
        assert curve.high[keep] == pytest.approx(interval.high.evaluate(curve.times)[keep])

    def test_the_textbook_curve(self) -> None:
        curve = kaplan_meier(*parsed(TREATED))
        assert curve.times.tolist() == [6, 7, 10, 13, 16, 22, 23]
        assert curve.at_risk.tolist() == [21, 17, 15, 12, 11, 7, 6]
        assert curve.survival == pytest.approx([0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448], abs=5e-4)

    def test_the_interval_covers_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(500):
            event, end = rng.exponential(1, 40), rng.uniform(0.5, 3, 40)
            curve = kaplan_meier(np.minimum(event, end), event <= end)
            row = np.searchsorted(curve.times, 0.7, side="right") - 1
            covered += curve.low[row] <= np.exp(-0.7) <= curve.high[row]
        assert abs(covered / 500 - 0.95) < 0.03

    def test_no_interval_where_nobody_is_left(self) -> None:
        curve = kaplan_meier(np.array([1.0, 2.0]), np.array([True, True]))
        assert curve.survival.tolist() == [0.5, 0]
        assert np.isnan(curve.low[1])
        assert np.isnan(curve.high[1])


class TestRestrictedMean:
    @pytest.mark.parametrize("horizon", [0.0, 2.5, 7.0, 40.0])
    def test_of_complete_data_is_the_mean_and_its_variance(self, horizon: float) -> None:
        times = np.random.default_rng(1).integers(1, 12, 30).astype(float)
        found = restricted_mean(times, np.ones(30, dtype=bool), horizon)
        cut = np.minimum(times, horizon)
        assert found.mean == pytest.approx(cut.mean())
        assert found.variance == pytest.approx(cut.var() / 30)

    def test_of_censored_data_is_the_area_under_the_curve(self) -> None:
        times, observed = censored_sample(3)
        curve = stats.ecdf(stats.CensoredData(times[observed], right=times[~observed])).sf
        grid = np.linspace(0, 9, 90_001)[:-1] + 5e-5
        assert restricted_mean(times, observed, 9.0).mean == pytest.approx(curve.evaluate(grid).mean() * 9)

    def test_variance_is_that_over_many_samples(self) -> None:
        rng = np.random.default_rng(2)
        found = []
        for _ in range(1500):
            event, end = rng.exponential(1, 50), rng.uniform(0.5, 3, 50)
            found.append(restricted_mean(np.minimum(event, end), event <= end, 1.5))
        means, variances = np.array(found).T
        assert means.mean() == pytest.approx(1 - np.exp(-1.5), abs=0.01)
        assert variances.mean() == pytest.approx(means.var(), rel=0.12)


class TestPseudoValues:
    def test_of_complete_data_are_the_times(self) -> None:
        times = np.array([3.0, 8.0, 5.0])
        assert pseudo_values(times, np.ones(3, dtype=bool), 6.0).tolist() == [3, 6, 5]

    def test_leave_one_out_by_hand(self) -> None:
        # 2, 3+, 5: mean to 5 is 2 + (2/3) 3 = 4; without the first 5, the second 3.5, the third 2 + 3/2.
        values = pseudo_values(np.array([2.0, 3.0, 5.0]), np.array([True, False, True]), 5.0)
        assert values == pytest.approx([3 * 4 - 2 * 5, 3 * 4 - 2 * 3.5, 3 * 4 - 2 * 3.5])

    def test_recover_a_difference_of_means_under_censoring(self) -> None:
        rng = np.random.default_rng(4)
        group = np.arange(600) < 300
        event, end = rng.exponential(np.where(group, 2.0, 1.0)), rng.uniform(0, 4, 600)
        values = pseudo_values(np.minimum(event, end), event <= end, 2.0)
        truth = 2 * (1 - np.exp(-1)) - (1 - np.exp(-2))
        assert values[group].mean() - values[~group].mean() == pytest.approx(truth, abs=0.15)


class TestLogRank:
    def test_the_textbook_example(self) -> None:
        (a, seen_a), (b, seen_b) = parsed(TREATED), parsed(PLACEBO)
        first = np.arange(42) < 21
        found = log_rank(np.concatenate([a, b]), np.concatenate([seen_a, seen_b]), first)
        assert (found.observed, round(found.expected, 2)) == (9, 19.25)
        assert found.z**2 == pytest.approx(16.79, abs=0.01)
        assert found.z > 0  # the treated are later

    @pytest.mark.parametrize("seed", range(5))
    def test_agrees_with_scipy(self, seed: int) -> None:
        times, observed = censored_sample(seed)
        first = np.random.default_rng(seed).random(len(times)) < 0.4
        sides = [
            stats.CensoredData(times[side & observed], right=times[side & ~observed])
            for side in (first, ~first)
        ]
        other = stats.logrank(*sides)
        found = log_rank(times, observed, first)
        assert found.z == pytest.approx(-other.statistic)
        assert found.p == pytest.approx(other.pvalue)

    def test_scores_add_up_to_expected_less_observed(self) -> None:
        times, observed = censored_sample(9)
        first = np.arange(len(times)) % 3 == 0
        found, scores = log_rank(times, observed, first), log_rank_scores(times, observed)
        assert scores.sum() == pytest.approx(0)
        assert scores[first].sum() == pytest.approx(found.expected - found.observed)

    def test_groups_that_no_event_can_tell_apart(self) -> None:
        found = log_rank(np.array([1.0, 2.0]), np.array([False, True]), np.array([True, False]))
        assert (found.z, found.p) == (0, 1)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: kaplan_meier(np.ones(2), np.ones(2, dtype=bool), confidence=95.0), "`confidence`"),
        (lambda: kaplan_meier(np.zeros(0), np.zeros(0, dtype=bool)), "`times`"),
        (lambda: kaplan_meier(np.array([np.nan]), np.ones(1, dtype=bool)), "`times`"),
        (lambda: restricted_mean(np.ones(2), np.ones(2, dtype=bool), -1.0), "`horizon`"),
        (lambda: pseudo_values(np.ones(1), np.ones(1, dtype=bool), 1.0), "`times`"),
        (lambda: log_rank(np.ones(2), np.ones(2, dtype=bool), np.ones(2, dtype=bool)), "`first`"),
    ],
)
def test_refuses(call, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=named):
        call()
