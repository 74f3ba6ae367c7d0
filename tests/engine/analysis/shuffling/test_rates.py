import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.analysis.shuffling import REFERENCE_RATES, level, rate

K = np.array([16, 32, 64, 128])


def powers(exponent, seeds=4, budgets=K, noise=0.0):
    rng = np.random.default_rng(0)
    constants = rng.lognormal(0, 1, (seeds, 1))
    return constants * budgets**exponent * rng.lognormal(0, noise, (seeds, len(budgets)))


@pytest.mark.parametrize("exponent", [-1.0, -2.0, -2.5])
def test_an_exact_power_has_its_exponent_and_an_interval_without_width(exponent):
    found = rate(powers(exponent), K)
    assert found.slope == pytest.approx(exponent, abs=1e-12)
    assert (found.n, found.left_out) == (1, 0)  # one slope, whatever the seed


def test_against_k_over_its_logarithm_an_exact_power_of_that_has_its_exponent():
    errors = powers(-2.0, budgets=K / np.log(64 * K))
    assert rate(errors, K, "K / ln(nK)", 64).slope == pytest.approx(-2.0, abs=1e-12)
    assert rate(errors, K).slope > -1.9


def test_slope_and_interval_are_those_of_an_independent_regression_over_seeds():
    errors = powers(-2.0, seeds=7, noise=0.5)
    slopes = [stats.linregress(np.log(K), np.log(row)).slope for row in errors]
    found = rate(errors, K)
    of_the_mean = stats.linregress(np.log(K), np.log(errors).mean(0)).slope
    assert found.slope == pytest.approx(of_the_mean, rel=1e-12)
    low, high = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.n == 7


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_seed_with_a_value_that_has_no_logarithm_counts_for_no_budget(bad):
    errors = powers(-2.0, seeds=6, noise=0.5)
    spoilt = errors.copy()
    spoilt[2, 1] = bad
    found = rate(spoilt, K)
    assert found == rate(np.delete(errors, 2, 0), K)._replace(left_out=1)
    assert found.n == 5


def test_without_a_usable_seed_there_is_no_slope():
    found = rate(np.full((2, 4), np.nan), K)
    assert np.isnan([found.slope, found.low, found.high]).all()
    assert (found.n, found.left_out) == (0, 8)


def test_copies_of_one_training_are_one_number():
    found = rate(np.tile(powers(-2.0, seeds=1, noise=0.5), (64, 1)), K)
    assert found.n == 1
    assert np.isnan([found.low, found.high]).all()
    assert level(np.full(64, 0.3))[::3] == pytest.approx((0.3, 1))


@pytest.mark.parametrize(
    ("budgets", "against", "examples", "told"),
    [
        ([4], "K", None, "two or more"),
        ([4, 2], "K", None, "increasing"),
        ([0, 2], "K", None, "positive"),
        ([2, 4], "K / ln(nK)", None, "got None"),
        ([1, 4], "K / ln(nK)", 2, "got 2"),
    ],
)
def test_what_has_no_slope_is_refused(budgets, against, examples, told):
    with pytest.raises(ValueError, match=told):
        rate(np.ones((3, len(budgets))), np.array(budgets), against, examples)


def test_the_level_is_the_geometric_mean_with_the_interval_of_the_mean_log():
    values = np.random.default_rng(1).lognormal(-3, 1, 9)
    found = level(np.concatenate([values, [np.nan, 0.0, np.inf]]))
    assert found.centre == pytest.approx(stats.gmean(values), rel=1e-12)
    low, high = stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-12)
    assert (found.n, found.left_out) == (9, 3)


@given(st.integers(1, 5000), st.sampled_from(sorted(REFERENCE_RATES)), st.floats(-0.5, 2.5))
@settings(max_examples=60, deadline=None)
def test_a_reference_falls_between_its_exponents(examples, name, decade):
    one = REFERENCE_RATES[name]
    budgets = 10.0**decade * np.array([1.0, 1.01])
    slope = np.diff(np.log(one.at(examples, budgets)))[0] / np.log(1.01)
    assert one.exponents[0] - 1e-9 <= slope <= one.exponents[-1] + 1e-9


@pytest.mark.parametrize(
    ("name", "n", "epochs", "expected"),
    [
        ("WR", 10, 4, 1 / 40),
        ("IGM", 10, 4, 1 / 16),
        ("SS", 10, 4, 1 / 160),
        ("RR", 10, 4, 1 / 1600 + 1 / 640),
    ],
)
def test_references_are_what_their_formula_says(name, n, epochs, expected):
    assert REFERENCE_RATES[name].at(n, np.array([epochs])) == pytest.approx([expected], rel=1e-12)
    assert REFERENCE_RATES[name].source
