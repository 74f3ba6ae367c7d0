"""What every data set promises."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from data.errors import LabError
from engine.datasets import dataset, datasets
from engine.datasets._check import require_usable

# Of a split's numbers, rounded to six decimals. A change of one of these changes every result on that data.
CONTENT = {
    "delayed-addition": "029224ad0b41d5c6",
    "digits": "60d079c9a2902d58",
    "evidence-accumulation": "42cb0c643a3f86b6",
    "flip-flop": "a449abbe2fea2029",
    "gaussian-regression": "6f07188a90942594",
    "gaussian-teacher": "981ce43aece74932",
    "mnist1d": "4b4c5d59e4121824",
    "mnist-5k": "9428ea8c80261761",
    "modular-addition": "b78f125eb5b77a53",
    "six-points": "7e2d5d503ce35d12",
    "sparse-parity": "371bfb919cb4c7f8",
    "toy-dataset": "84a6a5310dbd57a5",
}
NEEDS_A_PATH = {"cifar", "npz"}


def content(split) -> str:
    digest = hashlib.sha256()
    for array in split:
        digest.update(repr(array.shape).encode())
        digest.update(np.rint(array * 1e6).astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def test_every_data_set_is_pinned_here():
    assert set(CONTENT) | NEEDS_A_PATH == set(datasets())


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_a_data_set_is_as_described_and_the_same_everywhere(name):
    described = dataset(name)
    split = described.load()
    require_usable(name, split, described.shape())
    assert described.shape() == described.shape(**described.settings)
    assert content(split) == content(described.load(**described.settings)) == CONTENT[name]


@pytest.mark.parametrize("name", sorted(CONTENT))
def test_what_was_loaded_is_nobody_elses(name):
    first = dataset(name).load()
    before = content(first)
    first.train_inputs[:] = 0
    first.train_targets[:] = 0
    assert content(dataset(name).load()) == before


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("modular-addition", {"p": 7, "operation": "multiply", "train_share": 0.5}),
        ("sparse-parity", {"bits": 9, "relevant": 2, "train_rows": 30, "test_rows": 0}),
        ("gaussian-regression", {"rows": 20, "features": 4, "outputs": 3, "condition": 5.0, "test_rows": 0}),
        ("gaussian-teacher", {"rows": 20, "features": 4, "test_rows": 3}),
        ("toy-dataset", {"m": 4}),
        ("delayed-addition", {"rows": 20, "steps": 2, "test_rows": 0}),
        ("evidence-accumulation", {"rows": 20, "steps": 1, "test_rows": 3}),
        ("flip-flop", {"rows": 20, "steps": 1, "bits": 2, "test_rows": 0}),
    ],
)
def test_a_data_set_follows_its_settings(name, settings):
    described = dataset(name)
    settings = {**described.settings, **settings}
    split = described.load(**settings)
    require_usable(name, split, described.shape(**settings))
    if "test_rows" in settings:
        assert len(split.test_inputs) == settings["test_rows"]


@pytest.mark.parametrize("name", sorted(set(CONTENT) - {"digits", "mnist1d", "mnist-5k", "six-points"}))
def test_another_seed_gives_other_rows_and_more_test_rows_the_same(name):
    described = dataset(name)
    first = described.load()
    if {"seed", "split"} & set(described.settings):
        other = described.load(**{key: 1 for key in ("seed", "split") if key in described.settings})
        assert (other.train_inputs != first.train_inputs).mean() > 0.01
    if "test_rows" in described.settings:
        assert (described.load(test_rows=3).train_inputs == first.train_inputs).all()


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("modular-addition", "p", 1),
        ("modular-addition", "train_share", 0.0),
        ("modular-addition", "train_share", 1.0),
        ("modular-addition", "train_share", float("nan")),
        ("modular-addition", "operation", "divide"),
        ("modular-addition", "split", -1),
        ("sparse-parity", "relevant", 41),
        ("sparse-parity", "test_rows", -1),
        ("gaussian-regression", "rows", 0),
        ("gaussian-regression", "noise", float("nan")),
        ("gaussian-regression", "condition", 0.5),
        ("gaussian-teacher", "seed", -1),
        ("toy-dataset", "m", 0),
        ("delayed-addition", "steps", 1),
        ("evidence-accumulation", "drift", float("inf")),
        ("flip-flop", "pulses", 1.5),
        ("cifar", "classes", 20),
        ("npz", "tokens", -1),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name_and_value(name, setting, value):
    with pytest.raises(LabError, match=f"`{setting}` must be .*; got {value!r}"):
        dataset(name).load(**{setting: value})


def test_loading_needs_no_torch_and_finding_nothing_heavy():
    code = (
        "import sys; from engine.datasets import datasets; known = datasets()\n"
        "assert not {'torch', 'sklearn', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules)\n"
        f"[each.load() for name, each in known.items() if name not in {NEEDS_A_PATH}]\n"
        "assert not {'torch', 'matplotlib', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
