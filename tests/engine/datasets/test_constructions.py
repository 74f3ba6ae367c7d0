"""The six points and ToyDataset, against their definitions written out."""

import itertools
from collections import Counter

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import linprog, nnls

from engine.datasets import dataset


def test_the_six_points_are_those_of_the_paper():
    e = 0.01
    split = dataset("six-points").load()
    assert split.train_inputs.tolist() == [
        [1, 0, e, -e, e, -e],
        [0, 1, -e, e, -e, e],
        [e, -e, 1, 0, -e, e],
        [-e, e, 0, 1, e, -e],
        [e, -e, e, -e, 1, 0],
        [-e, e, -e, e, 0, 1],
    ]
    assert split.train_targets.tolist() == [1, 1, 1, -1, -1, -1]
    assert split.test_inputs.shape == (0, 6)


def normalized(rows):
    centred, deviation = rows - rows.mean(-2, keepdims=True), rows.std(-2, keepdims=True)
    return np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 0)


def verdict_of(points, signs, batches):
    """Return whether single shuffle over these batches diverges, stays separable, or is bounded.

    Ji & Telgarsky 2019: the separable part of the signed features has the directions that no other opposes;
    its max-margin direction, orthogonal to the rest, must not put a full-batch feature on the wrong side.
    """
    features = np.concatenate([normalized(points[list(batch)]) for batch in batches])
    features *= np.concatenate([signs[list(batch)] for batch in batches])[:, None]
    n, d = features.shape
    program = linprog(
        np.r_[np.zeros(d), -np.ones(n)],
        np.c_[-features, np.eye(n)],
        np.zeros(n),
        bounds=[(None, None)] * d + [(0, 1)] * n,
    )
    apart = program.x[d:] > 0.5
    if not apart.any():
        return "bounded"
    free = null_space(features[~apart]) if (~apart).any() else np.eye(d)
    reduced = features[apart] @ free
    duals, _ = nnls(np.vstack([reduced.T, np.ones(len(reduced))]), np.r_[np.zeros(free.shape[1]), 1.0])
    margins = signs * (normalized(points) @ free @ (reduced.T @ duals))
    return "diverges" if margins.min() < -1e-9 else "separable"


def test_of_the_orders_of_the_six_points_480_diverge_192_do_not_and_48_are_bounded():
    points, signs, *_ = dataset("six-points").load()
    pairings = {
        frozenset(frozenset(order[k : k + 2]) for k in (0, 2, 4))
        for order in itertools.permutations(range(6))
    }
    counts = Counter(verdict_of(points, signs, [sorted(pair) for pair in pairing]) for pairing in pairings)
    assert {kind: 48 * found for kind, found in counts.items()} == {
        "diverges": 480,
        "separable": 192,
        "bounded": 48,
    }


def test_on_the_six_points_most_single_shuffles_diverge_and_reshuffling_learns():
    points, signs, *_ = dataset("six-points").load()
    orders = np.array(list(itertools.permutations(range(6))))
    rng = np.random.default_rng(0)

    def risks(reshuffle):
        weights = np.zeros((len(orders), 6))
        for epoch in range(600):
            if reshuffle or not epoch:
                batches = (rng.permuted(orders, axis=1) if reshuffle else orders).reshape(-1, 3, 2)
                features, labels = normalized(points[batches]), signs[batches]
            for step in range(3):
                margin = labels[:, step] * np.einsum("obf,of->ob", features[:, step], weights)
                pull = labels[:, step] / (1 + np.exp(margin))
                weights += np.einsum("ob,obf->of", pull, features[:, step]) / 2
        return np.logaddexp(0, -signs * (weights @ normalized(points).T)).mean(1)

    single, reshuffled = risks(False), risks(True)
    assert (single > 1).mean() > 0.4
    assert reshuffled.mean() < np.log(2) / 2


def test_the_toy_data_set_is_the_one_of_the_paper():
    points = [(-3, 1.5), (1, -0.5), (-2.2, 1.8), (-2, 2), (-1.8, 2.2)]
    labels = [1, 0, 1, 1, 1]
    points += [(-x, -y) for x, y in points]
    labels += [1 - label for label in labels]
    points += [(300, 110), (-300, -110)]
    labels += [1, 0]
    split = dataset("toy-dataset").load(m=3)
    assert len(split.train_inputs) == 2 * 3 + 6
    np.testing.assert_allclose(split.train_inputs, points, rtol=0, atol=1e-14)
    assert split.train_targets.tolist() == [2 * label - 1 for label in labels]
