import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.shuffling import dataset, normalization, normalize


class TestNormalize:
    def test_is_the_formula_row_by_row(self) -> None:
        batch = np.random.default_rng(0).normal(size=(7, 3))
        found = normalize(batch, eps=1e-5)
        for i, j in itertools.product(range(7), range(3)):
            mean = sum(batch[:, j]) / 7
            variance = sum((x - mean) ** 2 for x in batch[:, j]) / 7
            assert found[i, j] == pytest.approx((batch[i, j] - mean) / (variance + 1e-5) ** 0.5, rel=1e-12)

    def test_two_examples_keep_their_signs_only(self) -> None:
        batch = np.array([[3.0, -1.0], [1.0, 100.0]])
        np.testing.assert_allclose(normalize(batch), [[1.0, -1.0], [-1.0, 1.0]])

    def test_a_constant_feature_becomes_zero(self) -> None:
        batch = np.full((3, 2), 0.1)  # whose mean in floating point is not 0.1
        batch[:, 1] = [0.0, 1.0, 2.0]
        found = normalize(batch)
        assert (found[:, 0] == 0).all()
        assert found[:, 1].std() == pytest.approx(1)

    @pytest.mark.parametrize("eps", [-1.0, float("nan")])
    def test_refuses_a_negative_eps(self, eps: float) -> None:
        with pytest.raises(ValueError, match="`eps`"):
            normalize(np.ones((2, 2)), eps)

    def test_refuses_an_empty_batch(self) -> None:
        with pytest.raises(ValueError, match="`batch`"):
            normalize(np.ones((0, 2)))


def by_loops(
    X: np.ndarray, Y: np.ndarray, batches: list[tuple[int, ...]], eps: float
) -> list[tuple[float, ...]]:
    """Return the rows [features, target] of the given batches, one number at a time."""
    rows = []
    for batch in batches:
        for i in batch:
            row = []
            for j in range(X.shape[1]):
                values = [X[k, j] for k in batch]
                mean = sum(values) / len(values)
                variance = sum((value - mean) ** 2 for value in values) / len(values)
                row.append((X[i, j] - mean) / (variance + eps) ** 0.5)
            rows.append((*row, Y[i]))
    return sorted(tuple(round(float(value), 10) for value in row) for row in rows)


def rows_of(X: np.ndarray, Y: np.ndarray, *arguments: object, **settings: object) -> list[tuple[float, ...]]:
    found = dataset(X, Y, *arguments, **settings)
    stacked = np.column_stack([found.features, found.targets])
    return sorted(tuple(round(float(value), 10) for value in row) for row in stacked)


class TestDataset:
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(7, 2)), rng.normal(size=7)

    def test_a_permutation_is_cut_into_batches_in_its_order(self) -> None:
        order = [3, 1, 6, 0, 2, 5, 4]
        batches = [(3, 1, 6), (0, 2, 5), (4,)]
        assert rows_of(self.X, self.Y, 3, order, eps=0.1) == by_loops(self.X, self.Y, batches, 0.1)
        np.testing.assert_array_equal(dataset(self.X, self.Y, 3, order).targets, self.Y[order])

    def test_gd_is_one_batch(self) -> None:
        assert rows_of(self.X, self.Y, 3, "gd") == by_loops(self.X, self.Y, [tuple(range(7))], 0.0)

    def test_rr_is_every_subset_where_they_are_few(self) -> None:
        subsets = list(itertools.combinations(range(7), 3))
        assert rows_of(self.X, self.Y, 3, "rr") == by_loops(self.X, self.Y, subsets, 0.0)

    def test_rr_draws_uniform_subsets_where_they_are_many(self) -> None:
        X, Y = np.arange(6.0)[:, None], np.arange(6.0)
        found = dataset(X, Y, 2, "rr", subsets=14, seed=3)
        assert len(found.features) == 28
        # Of 15 pairs 14 are drawn; counted over many seeds, none comes more often than another.
        pairs = np.concatenate(
            [dataset(X, Y, 2, "rr", subsets=14, seed=seed).targets.reshape(-1, 2) for seed in range(700)]
        )
        counts = dict.fromkeys(itertools.combinations(range(6), 2), 0)
        for pair in pairs:
            counts[tuple(sorted(int(one) for one in pair))] += 1
        assert sum(counts.values()) == 9800
        chi2 = sum((count - 9800 / 15) ** 2 / (9800 / 15) for count in counts.values())
        assert chi2 < 36  # p = 0.001 with 14 degrees of freedom
        again = dataset(X, Y, 2, "rr", subsets=14, seed=3)
        assert (again.targets == found.targets).all()

    @given(st.integers(1, 9), st.integers(0, 99))
    def test_the_chunk_does_not_matter(self, chunk: int, seed: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            whole = dataset(self.X, self.Y, 2, "rr", subsets=9, seed=seed)
            patch.setattr(normalization, "CHUNK", chunk)
            apart = dataset(self.X, self.Y, 2, "rr", subsets=9, seed=seed)
        np.testing.assert_array_equal(whole.features, apart.features)

    def test_the_features_stay_within_their_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(normalization, "NUMBERS", 60)
        assert dataset(self.X, self.Y, 3, "rr").features.size == 60

    def test_refuses_what_is_no_order(self) -> None:
        with pytest.raises(ValueError, match="each index from 0 to 6 once"):
            dataset(self.X, self.Y, 2, [0, 1, 2, 3, 4, 5, 5])
        with pytest.raises(ValueError, match='"gd" or "rr"'):
            inspect.unwrap(dataset)(self.X, self.Y, 2, "ss")
        for size in (0, 8):
            with pytest.raises(ValueError, match="`batch_size` must be from 1"):
                dataset(self.X, self.Y, size, "gd")
        with pytest.raises(ValueError, match="`subsets`"):
            dataset(self.X, self.Y, 2, "rr", subsets=0)
        with pytest.raises(ValueError, match="each of the 7"):
            inspect.unwrap(dataset)(self.X, self.Y[:3], 2, "gd")
