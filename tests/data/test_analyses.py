"""Stored results come back to the bit, once per input."""

import numpy as np
import pytest

from data import analyses
from data.errors import LabError
from tests.data.conftest import Lab


def test_round_trip(lab: Lab) -> None:
    lab.study()
    grid = np.arange(12, dtype=np.float64).reshape(3, 4)
    arrays = {
        "strided": grid[:, ::2],
        "transposed": grid.T,
        "ids": np.array([1, 2], np.int16),
        "scalar": np.array(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "special": np.array([np.nan, np.inf, -np.inf]),
        "mask": np.array([True, False]),
    }
    row = analyses.save(lab.store, "study", "latent", {"states": [1, 2]}, {"n": np.int64(2)}, arrays, seed=3)
    assert row == lab.catalog.analysis(row.key)
    assert (row.summary, row.seed, row.data_version) == ({"n": 2}, 3, lab.traces.version("study"))
    found = analyses.load(lab.store, row)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_one_key_per_input(lab: Lab) -> None:
    lab.study()

    def save(**changes: object) -> str:
        given = {"inputs": {"a": 1, "b": 2}, "code_version": "1", "data_version": "d", "seed": 0} | changes
        return analyses.save(lab.store, "study", "latent", summary={}, arrays={"x": np.ones(1)}, **given).key  # type: ignore[arg-type]

    keys = [save(), save(inputs={"a": 2}), save(code_version="2"), save(data_version="e"), save(seed=1)]
    assert len(set(keys)) == 5
    assert save(inputs={"b": 2, "a": 1}) == keys[0]
    assert len(lab.catalog.analyses("study")) == 5
    assert len(list(lab.store.analyses.iterdir())) == 5


def test_what_cannot_be_kept_or_read(lab: Lab) -> None:
    lab.study()
    with pytest.raises(ValueError, match="numbers or booleans"):
        analyses.save(lab.store, "study", "latent", {}, {}, {"names": np.array(["a"])})
    for version in (None, "d"):
        with pytest.raises(LabError, match="Unknown study"):
            analyses.save(lab.store, "other", "latent", {}, {}, {}, data_version=version)
    row = analyses.save(lab.store, "study", "latent", {}, {}, {"x": np.ones(3)})
    (lab.store.root / row.path).write_bytes(b"half")
    with pytest.raises(LabError, match="cannot be read"):
        analyses.load(lab.store, row)
    (lab.store.root / row.path).unlink()
    with pytest.raises(LabError, match="Compute the analysis again"):
        analyses.load(lab.store, row)
