import numpy as np
import pytest
from scipy import stats

from engine.analysis.t_interval import t_interval


def test_agrees_with_a_t_test_turned_inside_out() -> None:
    rng = np.random.default_rng(0)
    samples = [rng.normal(2.0, 3.0, size=n) for n in (2, 5, 40)]
    interval = t_interval(
        np.array([s.mean() for s in samples]),
        np.array([s.std(ddof=1) for s in samples]),
        np.array([len(s) for s in samples]),
    )
    for low, high, sample in zip(interval.low, interval.high, samples, strict=True):
        # a mean at an end of the 95 % interval is rejected at exactly 5 %
        assert stats.ttest_1samp(sample, low).pvalue == pytest.approx(0.05)
        assert stats.ttest_1samp(sample, high).pvalue == pytest.approx(0.05)


def test_covers_as_often_as_it_says_at_five_seeds() -> None:
    samples = np.random.default_rng(1).normal(size=(20_000, 5))
    interval = t_interval(samples.mean(axis=1), samples.std(axis=1, ddof=1), np.full(20_000, 5))
    covered = ((interval.low <= 0) & (interval.high >= 0)).mean()
    assert abs(covered - 0.95) < 0.006  # 4 standard errors; z = 1.96 would cover 0.88


def test_one_seed_or_none_has_no_interval() -> None:
    interval = t_interval(np.array([1.0, np.nan, 1.0]), np.array([np.nan, np.nan, 0.0]), np.array([1, 0, 2]))
    assert np.isnan(interval.low[:2]).all()
    assert np.isnan(interval.high[:2]).all()
    assert (interval.low[2], interval.high[2]) == (1.0, 1.0)


def test_keeps_the_shape_of_its_input() -> None:
    interval = t_interval(np.zeros((3, 4)), np.ones((3, 4)), np.full((3, 4), 6))
    assert interval.low.shape == interval.high.shape == (3, 4)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0])
def test_refuses_a_confidence_that_is_none(confidence: float) -> None:
    with pytest.raises(ValueError, match="`confidence`"):
        t_interval(np.zeros(1), np.ones(1), np.array([3]), confidence)


def test_refuses_a_negative_deviation() -> None:
    with pytest.raises(ValueError, match="`sd`"):
        t_interval(np.zeros(1), np.array([-1.0]), np.array([3]))
