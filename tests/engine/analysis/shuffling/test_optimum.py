import inspect
import itertools
import math

import numpy as np
import pytest

from engine.analysis.shuffling import dataset, optimum


def risk(M: np.ndarray, features: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean over rows of the squared error summed over targets, term by term."""
    total = 0.0
    for x, y in zip(features, targets, strict=True):
        for row, target in zip(M, y, strict=True):
            total += (sum(m * value for m, value in zip(row, x, strict=True)) - target) ** 2
    return total / len(features)


def test_the_risk_is_a_parabola_around_it() -> None:
    rng = np.random.default_rng(0)
    X, Y, M = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), rng.normal(size=(2, 3))
    for ordering in (rng.permutation(12), "gd", "rr"):
        features, targets = dataset(X, Y, 4, ordering)
        best = optimum(features, targets)
        above = ((features @ (M - best).T) ** 2).sum() / len(features)
        assert risk(M, features, targets) == pytest.approx(risk(best, features, targets) + above, abs=1e-10)


def test_is_the_formula_with_a_pseudo_inverse_where_features_depend_on_each_other() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(6, 5))
    features, targets = dataset(X, rng.normal(size=6), 2, range(6))  # three independent rows of +-1
    x, y = features.T, targets[None]
    np.testing.assert_allclose(optimum(features, targets), y @ x.T @ np.linalg.pinv(x @ x.T), atol=1e-12)


def test_of_one_feature_reshuffling_averages_the_permutations() -> None:
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(6, 1)), rng.normal(size=(6, 1))
    each = [optimum(*dataset(X, Y, 2, list(order))) for order in itertools.permutations(range(6))]
    assert optimum(*dataset(X, Y, 2, "rr"))[0, 0] == pytest.approx(np.mean(each), abs=1e-12)


def test_of_two_features_it_does_not() -> None:
    rng = np.random.default_rng(2)
    X, Y = rng.normal(size=(6, 2)), rng.normal(size=(6, 1))
    each = [optimum(*dataset(X, Y, 3, list(order))) for order in itertools.permutations(range(6))]
    assert np.abs(optimum(*dataset(X, Y, 3, "rr")) - np.mean(each, axis=0)).max() > 1e-3


def test_small_batches_shrink_a_gaussian_teacher() -> None:
    B = 4
    expected = math.sqrt(2 / B) * math.gamma(B / 2) / math.gamma((B - 1) / 2)
    assert expected == pytest.approx(0.7979, abs=5e-5)
    ratios = []
    for seed in range(16):
        rng = np.random.default_rng(seed)
        X, w = rng.normal(size=(2000, 3)), np.array([[1.0, -2.0, 0.5]])
        small, full = (
            optimum(*dataset(X, X @ w.T, B, which, subsets=20_000, seed=seed)) for which in ("rr", "gd")
        )
        ratios.append(float((small * full).sum() / (full * full).sum()))
    error = np.std(ratios, ddof=1) / 4
    assert error < 0.01
    assert np.mean(ratios) == pytest.approx(expected, abs=4 * error)


def test_refuses_rows_that_do_not_match() -> None:
    with pytest.raises(ValueError, match="got 3 and 2"):
        inspect.unwrap(optimum)(np.ones((3, 1)), np.ones(2))
    with pytest.raises(ValueError, match="at least one"):
        optimum(np.ones((0, 1)), np.ones(0))
