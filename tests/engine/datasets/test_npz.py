import hashlib
import subprocess
import sys

import numpy as np
import pytest

from data.errors import LabError
from engine.datasets import Shape, dataset
from engine.datasets._check import require_usable
from engine.datasets.npz import NAMES, load, shape

IMAGES = np.random.default_rng(0).normal(size=(9, 1, 4, 4)).astype(np.float32)
CLASSES = np.array([0, 1, 2, 2, 1, 0], np.uint8)


@pytest.fixture
def arrays():
    return {
        "train_inputs": IMAGES[:6],
        "train_targets": CLASSES,
        "test_inputs": IMAGES[6:],
        "test_targets": np.array([3, 0, 1]),
    }


@pytest.fixture
def save(tmp_path, arrays):
    """Return a function that saves the arrays, some of them replaced, and returns the path."""

    def saved(compressed=False, **other):
        path = tmp_path / "mine.npz"
        kept = {name: array for name, array in (arrays | other).items() if array is not None}
        (np.savez_compressed if compressed else np.savez)(path, **kept)
        return str(path)

    return saved


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_is_read_as_it_is(save, arrays, compressed):
    path = save(compressed)
    split = load(path)
    assert shape(path) == Shape(6, (1, 4, 4), 4, "classes")
    require_usable("npz", split, shape(path))
    assert [array.dtype for array in split] == [np.float64, np.int64, np.float64, np.int64]
    assert all((mine == arrays[name]).all() for mine, name in zip(split, NAMES, strict=True))


@pytest.mark.parametrize("kinds", [("npy",) * 4, ("npz",) * 4, ("npy", "npz", "npz", "npy")])
def test_a_folder_holds_one_file_for_each(tmp_path, arrays, kinds):
    for (name, array), kind in zip(arrays.items(), kinds, strict=True):
        if kind == "npy":
            np.save(tmp_path / f"{name}.npy", array)
        else:
            np.savez(tmp_path / f"{name}.npz", array)
    split = load(str(tmp_path))
    assert all((mine == arrays[name]).all() for mine, name in zip(split, NAMES, strict=True))
    assert shape(str(tmp_path)) == Shape(6, (1, 4, 4), 4, "classes")


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (np.array([1.0, -1, 1, -1, 1, 1]), Shape(6, (1, 4, 4), 1, "signs")),
        (np.array([1.0, -1, 1, -1, 1, 0]), Shape(6, (1, 4, 4), 1, "values")),
        (np.ones((6, 3)), Shape(6, (1, 4, 4), 3, "values")),
        (np.ones((6, 5, 2), int), Shape(6, (1, 4, 4), 2, "values")),
        (np.array([True, False] * 3), Shape(6, (1, 4, 4), 2, "classes")),
    ],
)
def test_targets_say_what_the_task_is(save, targets, expected):
    path = save(train_targets=targets, test_targets=targets[:3])
    assert shape(path) == expected
    require_usable("npz", load(path), expected)


def test_tokens_are_whole_numbers(save):
    rows = np.arange(27).reshape(9, 3)
    path = save(train_inputs=rows[:6], test_inputs=rows[6:])
    assert shape(path, tokens=27) == Shape(6, (3,), 4, "classes", 27)
    assert load(path, tokens=27).train_inputs.dtype == np.int64
    assert load(path).train_inputs.dtype == np.float64
    with pytest.raises(LabError, match="has the token 26"):
        require_usable("npz", load(path, tokens=26), shape(path, tokens=26))
    with pytest.raises(LabError, match=r"float32, but dataset\.tokens is 5"):
        load(save(), tokens=5)


def test_a_data_set_may_have_nothing_held_out(save):
    path = save(test_inputs=IMAGES[:0], test_targets=np.empty(0))
    require_usable("npz", load(path), shape(path))


def test_the_checksum_of_a_file_is_its_sha256(save, tmp_path):
    path = save()
    right = hashlib.sha256((tmp_path / "mine.npz").read_bytes()).hexdigest()
    load(path, sha256=right)
    load(path, sha256=right.upper())
    with pytest.raises(LabError, match=f"is {right}, but dataset.sha256 is {'0' * 64}") as refused:
        load(path, sha256="0" * 64)
    assert "set dataset.sha256" in refused.value.remedy


def test_the_checksum_of_a_folder_is_that_of_sha256sums_listing(tmp_path, arrays):
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    listing = subprocess.run(
        ["sha256sum", *(f"{name}.npy" for name in NAMES)], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    load(str(tmp_path), sha256=hashlib.sha256(listing).hexdigest())
    np.save(tmp_path / "test_targets.npy", np.array([3, 0, 2]))
    with pytest.raises(LabError, match="Not the expected data"):
        load(str(tmp_path), sha256=hashlib.sha256(listing).hexdigest())


def test_a_changed_file_is_noticed(save):
    assert shape(save()).outputs == 4
    assert shape(save(test_targets=np.array([0, 0, 11]))).outputs == 12


class Trap:
    """A pickle of this would end the process that reads it."""

    def __reduce__(self):
        return sys.exit, (3,)


def test_objects_are_never_unpickled(save):
    trap = np.empty(6, object)
    trap[0] = Trap()
    path = save(train_targets=trap)
    for read in (load, shape):
        with pytest.raises(LabError, match=r"`train_targets` of .* holds Python objects"):
            read(path)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"test_targets": None}, "has no `test_targets`; it has train_inputs, train_targets, test_inputs"),
        ({"train_targets": CLASSES[:5]}, "`train_inputs` of .* has 6 rows, `train_targets` has 5"),
        ({"train_targets": np.array(["a"] * 6)}, "`train_targets` of .* is of type <U1"),
        ({"train_inputs": np.float64(3)}, r"`train_inputs` of .* and shape \(\)"),
        ({"train_inputs": IMAGES[:6] + 1j}, "is of type complex"),
        ({"train_targets": -np.ones(6, int)}, "There is a class -1"),
        ({"test_targets": np.ones(3)}, "`test_targets` is of type float64"),
    ],
)
def test_arrays_that_cannot_be_used_are_named(save, other, words):
    with pytest.raises(LabError, match=words):
        load(save(**other))


def test_one_number_an_example_needs_an_axis_of_its_own(save):
    with pytest.raises(LabError, match=r"`train_inputs` of .* is of shape \(6,\)") as error:
        shape(save(train_inputs=np.arange(6.0)))
    assert "reshape(-1, 1)" in error.value.remedy
    assert shape(save(train_inputs=np.arange(6.0).reshape(-1, 1))).inputs == (1,)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.9])
def test_a_file_cut_short_is_called_unreadable(save, tmp_path, compressed, share):
    path = save(compressed)
    content = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(LabError, match=r"Unreadable file\. `train_inputs` of .* cannot be read"):
        load(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_any_flipped_byte_is_noticed_or_changes_nothing(save, tmp_path, arrays, compressed):
    path = save(compressed)
    content = (tmp_path / "mine.npz").read_bytes()
    noticed = 0
    for place in range(0, len(content), 7):
        (tmp_path / "mine.npz").write_bytes(
            content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :]
        )
        try:
            split = load(path)
        except LabError:
            noticed += 1
        else:
            assert all((mine == arrays[name]).all() for mine, name in zip(split, NAMES, strict=True))
    assert noticed > 50


def test_an_array_file_cut_short_is_called_unreadable(tmp_path, arrays):
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    whole = (tmp_path / "train_inputs.npy").read_bytes()
    no_header = whole[:10] + b"(" + whole[11:]
    for content in (b"", whole[:5], whole[:60], whole[:-1], no_header):
        (tmp_path / "train_inputs.npy").write_bytes(content)
        with pytest.raises(LabError, match=r"Unreadable file\. `train_inputs`"):
            load(str(tmp_path))


def test_a_path_must_be_named_and_lead_somewhere(tmp_path, arrays):
    for read in (load, shape):
        with pytest.raises(LabError, match="No file named"):
            read()
        with pytest.raises(LabError, match=r"There is no `nowhere\.npz`"):
            read(path="nowhere.npz")
    np.save(tmp_path / "train_inputs.npy", IMAGES)
    with pytest.raises(LabError, match=r"neither an \.npz file nor a folder"):
        load(str(tmp_path / "train_inputs.npy"))
    with pytest.raises(LabError, match=r"no train_targets\.npy and no train_targets\.npz"):
        load(str(tmp_path))
    np.savez(tmp_path / "train_inputs.npz", IMAGES)
    with pytest.raises(LabError, match=r"both train_inputs\.npy and train_inputs\.npz"):
        load(str(tmp_path))


def test_a_home_folder_is_understood(save, tmp_path, monkeypatch):
    save()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset("npz").shape(path="~/mine.npz").train_rows == 6
