import itertools
import math

import numpy as np
import pytest

from engine.analysis.shuffling import dataset, distance, normalize, optima, optimum, risk, risks


def loss_of(task: str, outputs: list[float], target: object) -> float:
    """Return the loss of one example, by its definition."""
    if task == "values":
        return sum((f - t) ** 2 for f, t in zip(outputs, target, strict=True))
    if task == "signs":
        return math.log(1 + math.exp(-target * outputs[0]))
    return -math.log(math.exp(outputs[int(target)]) / sum(math.exp(f) for f in outputs))


def risk_of_batches(task, M, X, Y, batches, eps=0.0) -> float:
    """Return the mean loss over the examples of all batches, each normalized by itself."""
    total, rows = 0.0, 0
    for batch in batches:
        features = normalize(X[list(batch)], eps)
        for x, i in zip(features, batch, strict=True):
            outputs = [sum(m * value for m, value in zip(row, x, strict=True)) for row in M]
            total, rows = total + loss_of(task, outputs, Y[i]), rows + 1
    return total / rows


RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 3))
TARGETS = {
    "values": (RNG.normal(size=(7, 2)), RNG.normal(size=(2, 3))),
    "signs": (RNG.choice([-1.0, 1.0], 7), RNG.normal(size=(1, 3))),
    "classes": (RNG.integers(0, 4, 7), RNG.normal(size=(4, 3))),
}


@pytest.mark.parametrize("task", ["values", "signs", "classes"])
def test_the_three_risks_by_their_definitions(task: str) -> None:
    Y, M = TARGETS[task]
    order = [3, 1, 6, 0, 2, 5, 4]
    found = risks(M, X, Y, 3, order, task, eps=0.1)
    own = [(3, 1, 6), (0, 2, 5), (4,)]
    assert found.own == pytest.approx(risk_of_batches(task, M, X, Y, own, 0.1))
    every = list(itertools.combinations(range(7), 3))
    assert found.reshuffled.value == pytest.approx(risk_of_batches(task, M, X, Y, every, 0.1))
    assert (found.reshuffled.exact, found.reshuffled.subsets) == (True, 35)
    assert found.reshuffled.standard_error == 0
    assert found.full == pytest.approx(risk_of_batches(task, M, X, Y, [range(7)], 0.1))


def test_the_optima_are_those_of_the_three_data() -> None:
    Y, _ = TARGETS["values"]
    order = RNG.permutation(7)
    found = optima(X, Y, 3, order)
    np.testing.assert_array_equal(found.own, optimum(*dataset(X, Y, 3, order)))
    np.testing.assert_array_equal(found.reshuffled.value, optimum(*dataset(X, Y, 3, "rr")))
    np.testing.assert_array_equal(found.full, optimum(*dataset(X, Y, 3, "gd")))


def test_each_risk_is_its_least_and_the_distance_to_its_optimum() -> None:
    rng = np.random.default_rng(1)
    big, Y, M = rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), rng.normal(size=(2, 3))
    order = rng.permutation(12)
    at, best = risks(M, big, Y, 4, order), optima(big, Y, 4, order)
    for which, value, star in (
        (order, at.own, best.own),
        ("rr", at.reshuffled.value, best.reshuffled.value),
        ("gd", at.full, best.full),
    ):
        features, targets = dataset(big, Y, 4, which)
        above = ((features @ (M - star).T) ** 2).sum() / len(features)
        assert value == pytest.approx(risk(star, features, targets) + above, abs=1e-10)


def test_the_standard_error_is_how_far_samples_lie_apart() -> None:
    rng = np.random.default_rng(2)
    big = rng.normal(size=(30, 2))
    Y, M = np.sign(big @ [1.0, -1.0]), np.array([[2.0, 1.0]])
    found = [risks(M, big, Y, 5, range(30), "signs", subsets=600, seed=seed).reshuffled for seed in range(60)]
    assert not found[0].exact
    spread = np.std([float(one.value) for one in found], ddof=1)
    assert np.mean([float(one.standard_error) for one in found]) == pytest.approx(spread, rel=0.25)
    stars = [optima(big, Y, 5, range(30), subsets=600, seed=seed).reshuffled for seed in range(40)]
    assert stars[0].standard_error.shape == (1, 2)
    spread = np.std([one.value for one in stars], axis=0, ddof=1)
    np.testing.assert_allclose(np.mean([one.standard_error for one in stars], axis=0), spread, rtol=0.35)


def test_small_batches_shrink_a_gaussian_teacher_by_what_theory_says() -> None:
    rng = np.random.default_rng(3)
    big, w = rng.normal(size=(4000, 1)), np.array([[2.0]])
    found = optima(big, big @ w.T, 4, range(4000), subsets=50_000)
    ratio, error = found.reshuffled.value / found.full, found.reshuffled.standard_error / found.full
    # The data themselves vary too: 4,000 examples leave about 0.001 of the ratio.
    assert abs(ratio[0, 0] - 0.7979) < 4 * error[0, 0] + 0.003
    assert error[0, 0] < 0.005


def test_features_may_come_from_a_network() -> None:
    Y = TARGETS["signs"][0]
    wide = np.random.default_rng(4).normal(size=(3, 5))
    head = np.random.default_rng(5).normal(size=(1, 5))

    def through(batches: np.ndarray) -> np.ndarray:
        return np.stack([normalize(np.tanh(batch @ wide)) for batch in batches])

    found = risks(head, X, Y, 3, range(7), "signs", through=through)
    total = 0.0
    for batch in ((0, 1, 2), (3, 4, 5), (6,)):
        features = normalize(np.tanh(X[list(batch)] @ wide))
        total += sum(
            loss_of("signs", [float(head[0] @ x)], Y[i]) for x, i in zip(features, batch, strict=True)
        )
    assert found.own == pytest.approx(total / 7)
    assert optima(X, Y, 3, range(7), through=through).full.shape == (1, 5)


def test_the_distance_is_relative_and_of_many_steps_at_once() -> None:
    star, many = np.array([[3.0, 4.0]]), np.array([[[3.0, 4.0]], [[0.0, 0.0]], [[3.0, 14.0]]])
    np.testing.assert_allclose(distance(many, star), [0.0, 1.0, 2.0])
    assert distance(many[2], star) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="zero optimum"):
        distance(many, np.zeros((1, 2)))
