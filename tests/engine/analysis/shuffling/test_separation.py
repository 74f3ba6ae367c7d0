import itertools
from collections import Counter

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import linprog, minimize

from engine.analysis.shuffling import dataset, one_against_rest, separabilities, separability, verdict
from engine.analysis.shuffling.margin import max_margin, sparse_margin
from engine.datasets import dataset as named


def split_one_by_one(signed: np.ndarray) -> np.ndarray:
    """Return for each example whether some u has z_i u >= 1 and z_j u >= 0 for the others, each by itself."""
    n, d = signed.shape
    found = []
    for i in range(n):
        program = linprog(
            np.zeros(d), A_ub=-signed, b_ub=-(np.arange(n) == i).astype(float), bounds=[(None, None)] * d
        )
        assert program.status in (0, 2)  # solved, or shown to have no solution
        found.append(program.status == 0)
    return np.array(found)


def problems(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return small problems, many of them with ties, repetitions and a part of each kind."""
    found = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(2, 12)), int(rng.integers(1, 6))
        features = (
            lambda rng, n, d: rng.normal(size=(n, d)),
            lambda rng, n, d: rng.integers(-1, 2, size=(n, d)).astype(float),
            lambda rng, n, d: dataset(rng.normal(size=(n, d)), np.ones(n), 2, range(n)).features,
            lambda rng, n, d: rng.integers(-1, 2, size=(n, d)) * 10.0 ** rng.integers(-3, 4, size=(n, 1)),
        )[seed % 4](rng, n, d)
        found.append((features, rng.choice([-1, 1], n)))
    return found


def test_the_split_is_that_of_one_program_for_each_example() -> None:
    mixed = 0
    for features, labels in problems(200):
        found = separability(features, labels)
        np.testing.assert_array_equal(found.separable, split_one_by_one(features * labels[:, None]))
        assert not found.caution
        mixed += 0 < found.separable.sum() < len(labels)
    assert mixed >= 20  # both parts at once is what the split is for


def test_a_feature_that_hardly_varies_counts_as_any_other() -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        planted = rng.normal(size=(20, 3))
        planted[:12, 2] = 0.0  # these oppose each other in the first two, the others are apart in the third
        planted[11] = -planted[:11].sum(axis=0)
        planted[12:, 2] = (0.5 + np.abs(planted[12:, 2])) * 10.0 ** -(seed % 5)
        signed = planted @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
        found = separability(signed, np.ones(20))
        np.testing.assert_array_equal(found.separable, np.arange(20) >= 12)
        assert not found.caution


def test_an_intercept_is_a_constant_feature() -> None:
    for features, labels in problems(60):
        found = separability(features, labels, intercept=True)
        signed = np.column_stack([features, np.ones(len(features))]) * labels[:, None]
        np.testing.assert_array_equal(found.separable, split_one_by_one(signed))
        if found.direction is not None:
            assert found.direction @ found.direction + found.offset**2 == pytest.approx(1)
            products = labels * (features @ found.direction + found.offset)
            assert products[found.separable].min() == pytest.approx(found.margin, abs=1e-12)


def test_the_certificate_proves_the_bounded_part_and_the_direction_the_other() -> None:
    for features, labels in problems(200):
        found, signed = separability(features, labels), features * labels[:, None]
        weights = found.certificate.weights
        assert (weights[~found.separable] > 0).all()
        assert (weights[found.separable] == 0).all()
        scale = (np.abs(weights) * np.linalg.norm(signed, axis=1)).sum()
        assert np.abs(weights @ signed).max() <= 1e-10 * max(scale, 1)
        if found.direction is not None:
            assert found.margin > 0
            assert (signed[found.separable] @ found.direction).min() == pytest.approx(found.margin)
            np.testing.assert_allclose(signed[~found.separable] @ found.direction, 0, atol=1e-8)


def test_the_margin_is_the_largest() -> None:
    checked = 0
    for features, labels in problems(120):
        found, signed = separability(features, labels), features * labels[:, None]
        if found.direction is None:
            continue
        apart, rest = signed[found.separable], signed[~found.separable]
        scale = np.linalg.norm(apart, axis=1).max()
        basis = null_space(rest) if len(rest) and rest.any() else np.eye(signed.shape[1])
        inside = apart @ basis / scale
        # The shortest w with z_i . w >= 1, by another method.
        start = basis.T @ found.direction / found.margin * scale
        best = minimize(
            lambda w: w @ w,
            start + 0.1 * np.linalg.norm(start),
            jac=lambda w: 2 * w,
            constraints={"type": "ineq", "fun": lambda w, a=inside: a @ w - 1, "jac": lambda w, a=inside: a},
            options={"maxiter": 500, "ftol": 1e-14},
        )
        if best.success:
            assert found.margin / scale == pytest.approx(1 / np.linalg.norm(best.x), rel=1e-5)
            checked += 1
        assert max_margin(apart, rest).gap < 1e-8
    assert checked > 40


@pytest.mark.parametrize(
    "rows",
    [[(2.0, 1.0), (3.0, 1.5), (2.5, 1.0)], [(1.0, 2.0), (0.5, -1.0), (4.0, 0.1)], [(1.0, 1.0), (1.0, -0.5)]],
)
def test_in_the_plane_the_margin_is_that_of_the_best_angle(rows: list[tuple[float, float]]) -> None:
    angles = np.linspace(0, 2 * np.pi, 200_001)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    rows, none = np.array(rows), np.empty((0, 2))
    best = (rows @ circle).min(axis=0)
    assert max_margin(rows, none).margin == pytest.approx(best.max(), abs=1e-4)  # of the angles
    diamond = circle / np.abs(circle).sum(axis=0)
    sparse = sparse_margin(rows, none)
    reached = (rows @ sparse.direction).min() / np.abs(sparse.direction).sum()
    assert reached == pytest.approx((rows @ diamond).min(axis=0).max(), abs=1e-4)
    assert sparse.margin == (rows @ sparse.direction).min()


def verdicts_of_the_six_points() -> list[tuple[tuple[int, ...], object, object]]:
    X, y, *_ = named("six-points").load()
    found = {}
    for order in itertools.permutations(range(6)):
        pairs = frozenset(frozenset(order[k : k + 2]) for k in (0, 2, 4))
        if pairs not in found:
            split = separability(*dataset(X, y, 2, order))
            found[pairs] = (order, split, verdict(split, *dataset(X, y, 2, "gd")))
    return list(found.values())


def test_of_the_orders_of_the_six_points_480_diverge_192_do_not_and_48_are_bounded() -> None:
    found = verdicts_of_the_six_points()
    counts = Counter(told.kind for _, _, told in found)
    assert {kind: 48 * count for kind, count in counts.items()} == {
        "GD risk diverges": 480,
        "no divergence": 192,
        "bounded": 48,
    }
    slopes = {round(told.slope, 2) for _, _, told in found}
    assert {0.30, 0.24, 0.16} <= slopes


def test_random_reshuffle_of_the_six_points_is_certified_bounded() -> None:
    X, y, *_ = named("six-points").load()
    features, labels = dataset(X, y, 2, "rr")
    found = separability(features, labels)
    weights = found.certificate.weights
    assert verdict(found, *dataset(X, y, 2, "gd")).kind == "bounded"
    assert weights.min() > 0
    assert np.abs(weights @ (features * labels[:, None])).max() < 1e-12
    assert found.certificate.rank == np.linalg.matrix_rank(features)


def test_no_further_batch_makes_separable_what_has_a_complete_certificate() -> None:
    rng = np.random.default_rng(0)
    seen = Counter()
    for features, labels in problems(80):
        found = separability(features, labels)
        more = rng.normal(size=(1, features.shape[1]))
        grown = separability(np.vstack([features, more]), np.append(labels, 1))
        seen[found.certificate.complete, bool(grown.separable.any())] += 1
    assert seen[True, False] > 10
    assert not seen[True, True]
    assert seen[False, True] > 10


def test_one_class_is_bounded_unless_there_is_an_intercept() -> None:
    data = dataset(np.random.default_rng(0).normal(size=(8, 3)), np.ones(8), 4, range(8))
    assert separability(*data).direction is None
    with_one = separability(*data, intercept=True)
    assert with_one.separable.all()
    np.testing.assert_allclose(with_one.direction, 0, atol=1e-12)
    assert (with_one.offset, with_one.margin) == (pytest.approx(1), pytest.approx(1))


def test_a_batch_of_one_leaves_nothing_to_separate() -> None:
    found = separability(*dataset(np.random.default_rng(0).normal(size=(5, 2)), np.ones(5), 1, range(5)))
    assert not found.separable.any()
    assert found.certificate.rank == 0
    assert not found.certificate.complete
    assert not found.caution


def test_the_rounding_of_a_mean_is_no_direction() -> None:
    data = dataset(np.array([[0.1], [0.3], [0.2]]) * 3, np.array([-1, 1, 1]), 3, "gd")
    assert 0 < abs(data.features[2, 0]) < 1e-12
    np.testing.assert_array_equal(separability(*data).separable, [True, True, False])


@pytest.mark.parametrize("tiny", [1e-8, 1e-10, 1e-13])
def test_a_margin_within_rounding_is_said_to_be(tiny: float) -> None:
    features = np.array([[1.0, tiny], [-1.0, tiny]])
    assert "within rounding" in separability(features, np.ones(2)).caution
    assert not separability(np.array([[1.0, 1e-3], [-1.0, 1e-3]]), np.ones(2)).caution


def test_each_class_is_split_from_the_rest() -> None:
    rng = np.random.default_rng(3)
    X, classes = rng.normal(size=(20, 4)), rng.integers(0, 3, 20)
    found = one_against_rest(X, classes)
    assert list(found) == [0, 1, 2]
    for one, split in found.items():
        signed = X * np.where(classes == one, 1, -1)[:, None]
        np.testing.assert_array_equal(split.separable, split_one_by_one(signed))


def test_many_problems_together_are_each_by_itself() -> None:
    rng = np.random.default_rng(6)
    data = [(rng.normal(size=(n, 4)), rng.choice([-1, 1], n)) for n in (5, 9, 30, 700, 2, 8)]
    data.append((np.zeros((3, 4)), np.ones(3)))
    for found, (features, labels) in zip(separabilities(data, intercept=True), data, strict=True):
        alone = separability(features, labels, intercept=True)
        np.testing.assert_array_equal(found.separable, alone.separable)
        assert found.margin == pytest.approx(alone.margin)
        assert not found.caution


def test_refuses_what_it_cannot_split() -> None:
    with pytest.raises(ValueError, match=r"got 0\. For classes use"):
        separability(np.ones((2, 1)), np.array([0, 1]))
    with pytest.raises(ValueError, match="finite"):
        separability(np.array([[np.nan]]), np.array([1]))
    with pytest.raises(ValueError, match="at least one"):
        separability(np.ones((0, 1)), np.ones(0))
