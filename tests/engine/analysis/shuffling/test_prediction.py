import numpy as np
import pytest

from engine.analysis.shuffling import dataset, separability, settling_time, verdict
from engine.analysis.shuffling.batchings import all_batchings
from engine.datasets import dataset as named


def test_the_slope_is_that_of_gradient_descent() -> None:
    X, y, *_ = named("six-points").load()
    batchings = list(all_batchings(6, 2))
    full = dataset(X, y, 2, "gd")
    data = [dataset(X, y, 2, np.concatenate(batches)) for batches in batchings]
    told = [verdict(separability(*one), *full) for one in data]
    signed = np.stack([one.features * one.targets[:, None] for one in data])
    M, steps, risks = np.zeros((15, 6)), 60_000, {}
    for step in range(1, steps + 1):
        pull = 1 / (1 + np.exp(np.einsum("bnf,bf->bn", signed, M)))
        M += np.einsum("bn,bnf->bf", pull, signed) / 6
        if step in (steps // 2, steps):
            risks[step] = np.logaddexp(0, -y * (M @ full.features.T)).mean(axis=1)
    slopes = (risks[steps] - risks[steps // 2]) / np.log(2)
    grows = np.array([one.kind == "GD risk diverges" for one in told])
    # What is orthogonal to the direction has not settled by then.
    np.testing.assert_allclose(slopes[grows], [one.slope for one in told if one.slope], atol=0.013, rtol=0.03)
    assert (slopes[~grows] < 0.001).all()


def test_a_trained_scale_grows_along_the_sparse_direction() -> None:
    rng = np.random.default_rng(4)
    signed = rng.normal(size=(6, 3)) + np.array([2.0, 1.0, 0.5])
    labels = np.ones(6)
    weights, scale = np.full(3, 0.3), np.full(3, 0.3)
    for _ in range(100_000):
        pull = (1 / (1 + np.exp(signed @ (weights * scale)))) @ signed / 6
        weights, scale = weights + 0.2 * pull * scale, scale + 0.2 * pull * weights
    M = weights * scale
    sparse = separability(signed, labels, scale_trained=True).direction
    plain = separability(signed, labels).direction
    M /= np.linalg.norm(M)
    assert M @ sparse > 0.99
    assert M @ sparse > M @ plain


def test_the_verdict_by_its_definition() -> None:
    rng = np.random.default_rng(0)
    kinds = set()
    for seed in range(40):
        X, y = rng.normal(size=(8, 3)), rng.choice([-1, 1], 8)
        split = separability(*dataset(X, y, 2 + seed % 3 * 2, range(8)), intercept=bool(seed % 2))
        full, labels = dataset(X, y, 2, "gd")
        told = verdict(split, full, labels)
        kinds.add(told.kind)
        if split.direction is None:
            assert (told.kind, told.slope, told.misclassified.any()) == ("bounded", 0.0, False)
            continue
        total = 0.0
        for x, label in zip(full, labels, strict=True):
            product = label * (sum(a * b for a, b in zip(x, split.direction, strict=True)) + split.offset)
            total += max(0.0, -product) / split.margin
        assert told.slope == pytest.approx(total / 8, abs=1e-9)
        assert (told.kind == "GD risk diverges") == (told.slope > 1e-9) == told.misclassified.any()
    assert len(kinds) == 3


def test_time_to_settle_is_where_the_bound_falls_below_three_tenths() -> None:
    for margin in (0.3, 0.01, 1e-6):
        t = settling_time(margin)
        assert 1 / t + np.log(t) ** 2 / (2 * margin**2 * t) == pytest.approx(0.3, rel=1e-6)
    assert settling_time(100.0) == pytest.approx(np.exp(2))


def test_a_short_training_or_a_margin_of_nothing_is_warned_of() -> None:
    features = np.array([[1.0, 0.02], [-1.0, 0.02]])
    split = separability(features, np.ones(2))
    full = np.array([[0.0, 1.0], [0.0, -1.0]])
    early, late = (verdict(split, full, np.ones(2), time=time) for time in (100.0, 1e9))
    assert "can be relied on after" in early.caution
    assert not late.caution
    assert late.slope == pytest.approx(0.5 / 0.02)
    nothing = separability(np.array([[1.0, 1e-12], [-1.0, 1e-12]]), np.ones(2))
    assert verdict(nothing, full, np.ones(2)).caution
