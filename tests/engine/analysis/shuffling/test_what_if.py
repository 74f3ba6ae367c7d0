import itertools
import time
from collections import Counter

import numpy as np
import pytest

from engine.analysis.shuffling import dataset, separability, verdict, what_if
from engine.analysis.shuffling.batchings import all_batchings, batching, count, orders_of_each
from engine.analysis.shuffling.what_if import Stopped
from engine.datasets import dataset as named


@pytest.mark.parametrize(("n", "size"), [(6, 2), (6, 3), (7, 3), (5, 2), (4, 1), (4, 4), (5, 8)])
def test_batchings_are_the_classes_of_all_orders(n: int, size: int) -> None:
    classes = Counter(batching(order, size) for order in itertools.permutations(range(n)))
    assert set(all_batchings(n, size)) == set(classes)
    assert len(list(all_batchings(n, size))) == len(classes) == count(n, size)
    assert set(classes.values()) == {orders_of_each(n, size)}
    for batches in classes:
        assert [len(batch) for batch in batches] == [size] * (n // size) + ([n % size] if n % size else [])


def test_every_order_of_the_six_points() -> None:
    X, y, *_ = named("six-points").load()
    found = what_if(X, y, 2)
    assert found.exact
    assert found.orders == 720
    assert found.counts == {"GD risk diverges": 480, "no divergence": 192, "bounded": 48}
    assert found.share == found.low == found.high == 2 / 3
    assert (found.reshuffled.kind, found.reshuffled_sampled, len(found.judged)) == ("bounded", False, 15)
    assert (
        found.worst.verdict.slope
        == max(one.verdict.slope for one in found.judged)
        == found.judged[0][3].slope
    )
    assert found.best.verdict.kind == "no divergence"
    assert found.best.verdict.least == max(one.verdict.least for one in found.judged)
    assert "only signs" in found.notes[0]


def test_every_order_by_itself_says_the_same() -> None:
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(5, 2)), np.array([1, -1, 1, -1, 1])
    full = dataset(X, y, 2, "gd")
    kinds = Counter(
        verdict(separability(*dataset(X, y, 2, order), intercept=True), *full).kind
        for order in itertools.permutations(range(5))
    )
    found = what_if(X, y, 2, intercept=True)
    assert {kind: n for kind, n in found.counts.items() if n} == kinds
    assert "The last batch has one example" in found.notes[0]


def test_a_sample_agrees_with_all_and_says_how_well() -> None:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(9, 4))
    y = np.sign(X[:, 0])
    every, sample = what_if(X, y, 3), what_if(X, y, 3, all_up_to=10, draws=300, seed=4)
    assert (every.exact, every.orders, sample.exact, sample.orders) == (True, 362_880, False, 300)
    assert sample.low < every.share < sample.high
    assert sample.low < sample.share < sample.high
    assert len({one.batches for one in sample.judged}) == len(sample.judged)
    again = what_if(X, y, 3, all_up_to=10, draws=300, seed=4)
    assert again.counts == sample.counts


def test_reshuffling_is_certified_for_good() -> None:
    X, y, *_ = named("gaussian-teacher").load()
    told = list[tuple[int, int]]()
    found = what_if(X, y, 8, draws=20, progress=lambda *seen: told.append(seen) is not None)
    assert found.reshuffled.kind == "bounded"
    assert found.reshuffled_separability.certificate.complete
    assert found.reshuffled_sampled
    assert told == [(0, 20), (20, 20)]


def test_progress_comes_often_and_stops() -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(9, 2))
    y, seen = np.sign(X[:, 0]), list[int]()

    def stop(done: int, total: int) -> bool:
        seen.append(done)
        return done >= 200

    with pytest.raises(Stopped):
        what_if(X, y, 3, progress=stop)
    assert seen == [0, 100, 200]
    # Once all is done there is nothing left to stop.
    assert what_if(X, y, 9, progress=lambda done, total: done == total).exact


def test_given_orders_alone_are_judged() -> None:
    X, y, *_ = named("six-points").load()
    orders = [[5, 0, 4, 3, 2, 1], [0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4], [0, 3, 1, 4, 2, 5]]
    found = what_if(X, y, 2, orders=orders)
    assert (found.selection, found.exact, found.orders) == ("given", True, 4)
    assert found.low == found.share == found.high == found.counts["GD risk diverges"] / 4
    assert sorted(one.orders for one in found.judged) == [1, 1, 2]  # the third has the batches of the second
    full = dataset(X, y, 2, "gd")
    for order in orders:
        alone = verdict(separability(*dataset(X, y, 2, order)), *full)
        (judged,) = (one for one in found.judged if one.batches == batching(order, 2))
        assert judged.verdict.kind == alone.kind
        assert judged.verdict.slope == pytest.approx(alone.slope)
    for wrong in ([[0, 1, 2, 3, 4]], [[0, 1, 2, 3, 4, 4]], [[1, 2, 3, 4, 5, 6]], []):
        with pytest.raises(ValueError, match="`orders"):
            what_if(X, y, 2, orders=wrong)


@pytest.mark.parametrize(
    ("rows", "size", "labels", "told"),
    [
        (6, 1, 1, "nothing is left to learn from"),
        (6, 4, 1, "The last batch has 2 of 4 examples"),
        (6, 6, 1, "full-batch gradient descent"),
        (6, 3, 0, "All examples have one label"),
    ],
)
def test_what_normalization_leaves_is_told(rows: int, size: int, labels: int, told: str) -> None:
    X = np.random.default_rng(0).normal(size=(rows, 3))
    X[:, 1] = 0.1
    y = np.array([1, -1] * 3) if labels else np.ones(rows)
    found = what_if(X, y, size)
    words = " ".join(found.notes)
    assert told in words
    assert "Constant features normalize to 0 and have no effect: 1 of 3." in words
    assert np.isfinite([found.share, found.low, found.high, found.worst.verdict.slope]).all()
    assert found.orders == sum(found.counts.values())


def test_refuses_what_is_no_data() -> None:
    with pytest.raises(ValueError, match="`X` must be finite"):
        what_if(np.array([[np.nan], [1.0]]), np.array([1, -1]), 1)
    with pytest.raises(ValueError, match="`batch_size`"):
        what_if(np.ones((2, 1)), np.array([1, -1]), 3)
    with pytest.raises(ValueError, match="`labels`"):
        what_if(np.ones((2, 1)), np.array([1, 2]), 2)


@pytest.mark.slow
def test_a_large_program_takes_less_than_ten_seconds() -> None:
    rng = np.random.default_rng(0)
    X, w = rng.normal(size=(2048, 64)), rng.normal(size=64)
    for y in (np.sign(X @ w), np.sign(X @ w + rng.normal(size=2048)), rng.choice([-1.0, 1.0], 2048)):
        data = dataset(X, y, 32, rng.permutation(2048), 1e-5)
        for intercept in (False, True):
            start = time.perf_counter()
            found = separability(*data, intercept=intercept)
            assert time.perf_counter() - start < 10
            assert not found.caution
