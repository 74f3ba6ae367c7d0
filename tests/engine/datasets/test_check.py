import numpy as np
import pytest

from data.errors import LabError
from engine.datasets import Shape, Split, dataset
from engine.datasets._check import require_usable


def changed(split, **arrays):
    """Return a copy with cells replaced: name to (index, value)."""
    fresh = Split(*(array.copy() for array in split))
    for name, (index, value) in arrays.items():
        getattr(fresh, name)[index] = value
    return fresh


@pytest.fixture
def digits():
    return dataset("digits").load(), dataset("digits").shape()


def test_usable_data_pass(digits):
    require_usable("digits", *digits)


@pytest.mark.parametrize("part", ["train", "test"])
def test_numbers_that_are_not_finite_are_counted_and_the_first_is_placed(digits, part):
    split, shape = digits
    broken = changed(split, **{f"{part}_inputs": (([5, 700], 0, 2, [3, 1]), [np.nan, -np.inf])})
    with pytest.raises(
        LabError, match=rf"{part}_inputs of `digits` has 1 NaN and 1 infinite .* \[5, 0, 2, 3\]"
    ):
        require_usable("digits", broken, shape)


def test_targets_must_be_finite_too():
    described = dataset("flip-flop")
    broken = changed(described.load(), train_targets=((7, 3, 1), np.inf))
    with pytest.raises(
        LabError, match=r"train_targets of `flip-flop` has 0 NaN and 1 infinite .* \[7, 3, 1\]"
    ):
        require_usable("flip-flop", broken, described.shape())


def test_a_training_set_of_one_class_is_named(digits):
    split, shape = digits
    with pytest.raises(LabError, match="All 1024 training rows of `digits` are of class 7"):
        require_usable("digits", changed(split, train_targets=(..., 7)), shape)
    require_usable("digits", changed(split, test_targets=(..., 7)), shape)


def test_labels_of_one_sign_are_refused():
    described = dataset("gaussian-teacher")
    with pytest.raises(LabError, match="of class -1"):
        require_usable("mine", changed(described.load(), train_targets=(..., -1)), described.shape())


@pytest.mark.parametrize("label", [-1, 10])
def test_a_class_out_of_range_is_named(digits, label):
    split, shape = digits
    with pytest.raises(
        LabError, match=f"train_targets of `digits` has the class {label} in row 9; .* 0 to 9"
    ):
        require_usable("digits", changed(split, train_targets=(9, label)), shape)


def test_classes_must_be_whole_numbers(digits):
    split, shape = digits
    with pytest.raises(LabError, match="train_targets of `digits` is of type float64"):
        require_usable("digits", split._replace(train_targets=split.train_targets.astype(float)), shape)


def test_a_sign_that_is_none_is_named():
    described = dataset("sparse-parity")
    with pytest.raises(LabError, match="has the value 0; 2 of 1000 are neither -1 nor 1"):
        require_usable("parity", changed(described.load(), train_targets=([3, 4], 0)), described.shape())


def test_a_token_out_of_the_vocabulary_is_named():
    described = dataset("modular-addition")
    with pytest.raises(LabError, match="test_inputs of `mod` has the token 114 in row 2"):
        require_usable("mod", changed(described.load(), test_inputs=((2, 1), 114)), described.shape())


def test_no_training_rows_are_refused(digits):
    split, shape = digits
    empty = split._replace(train_inputs=split.train_inputs[:0], train_targets=split.train_targets[:0])
    with pytest.raises(LabError, match="`digits` has no training rows"):
        require_usable("digits", empty, shape._replace(train_rows=0))


@pytest.mark.parametrize(
    ("arrays", "shape", "words"),
    [
        ({}, {"train_rows": 1000}, "1024 training rows, but described 1000"),
        (
            {},
            {"inputs": (64,)},
            r"train_inputs of `digits` is of shape \(1024, 1, 8, 8\), where \(1024, 64\)",
        ),
        ({"train_targets": 1023}, {}, r"train_targets of `digits` is of shape \(1023,\), where \(1024,\)"),
        ({"test_targets": 5}, {}, r"test_targets of `digits` is of shape \(5,\), where \(773,\)"),
    ],
)
def test_data_other_than_described_are_refused(digits, arrays, shape, words):
    split, described = digits
    cut = split._replace(**{name: getattr(split, name)[:rows] for name, rows in arrays.items()})
    with pytest.raises(LabError, match=words):
        require_usable("digits", cut, described._replace(**shape))


def test_values_need_an_axis_of_outputs():
    inputs = np.zeros((4, 2))
    split = Split(inputs, np.zeros(4), inputs, np.zeros(4))
    with pytest.raises(LabError, match=r"train_targets of `mine` is of shape \(4,\), where \(4, 1\)"):
        require_usable("mine", split, Shape(4, (2,), 1, "values"))


@pytest.mark.parametrize("part", ["train_inputs", "test_inputs", "train_targets"])
def test_numbers_that_float32_cannot_hold_are_named_with_what_to_do(part):
    described = dataset("gaussian-regression")
    split, shape = described.load(rows=64, test_rows=8), described.shape(rows=64, test_rows=8)
    broken = changed(split, **{part: ((slice(3, 5), 0), [-1e300, 1e39])})
    require_usable("mine", broken, shape)
    require_usable("mine", changed(split, **{part: ((3, 0), 3.4e38)}), shape, "float32")
    for dtype in ("float32", "bfloat16"):
        with pytest.raises(
            LabError, match=rf"{part} of `mine` has 2 of \d+ numbers .* first -1e\+300 at \[3, 0\]"
        ) as error:
            require_usable("mine", broken, shape, dtype)
        assert "dtype to float64" in error.value.remedy


def test_whole_numbers_are_never_beyond_float32():
    described = dataset("modular-addition")
    require_usable("modular-addition", described.load(), described.shape(), "float32")
