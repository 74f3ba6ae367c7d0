"""Refuses data that no training could use, naming the value and what to do."""

import numpy as np
from jaxtyping import Num

from data.errors import LabError
from engine.datasets._dataset import Shape, Split


def require_usable(name: str, split: Split, shape: Shape, dtype: str = "float64") -> None:
    """Refuse a split before anything is trained on it.

    Args:
        name: the data set, for messages.
        split: what it loaded.
        shape: what it said of itself.
        dtype: precision of the training, ``float64``, or any other for float32.

    Raises:
        LabError: no training rows; arrays of other shapes than described; a number that is not finite, or
            not in this precision; a token, class or sign out of range; a training set of one class.
    """
    if not shape.train_rows or not len(split.train_inputs):
        raise LabError("No training rows", f"`{name}` has no training rows.", "Give it at least one.")
    for part, inputs, targets in (
        ("train", split.train_inputs, split.train_targets),
        ("test", split.test_inputs, split.test_targets),
    ):
        _require_shape(f"{part}_inputs of `{name}`", inputs, (len(inputs), *shape.inputs))
        expected = (
            (len(inputs),) if shape.task != "values" else (len(inputs), *targets.shape[1:-1], shape.outputs)
        )
        _require_shape(f"{part}_targets of `{name}`", targets, expected)
        _require_finite(f"{part}_inputs of `{name}`", inputs)
        _require_finite(f"{part}_targets of `{name}`", targets)
        if dtype != "float64":
            _require_float32(f"{part}_inputs of `{name}`", inputs)
            _require_float32(f"{part}_targets of `{name}`", targets)
        if shape.tokens is not None:
            _require_numbered(f"{part}_inputs of `{name}`", "token", inputs, shape.tokens)
        if shape.task == "classes":
            _require_numbered(f"{part}_targets of `{name}`", "class", targets, shape.outputs)
        if shape.task == "signs" and (wrong := targets[np.abs(targets) != 1]).size:
            raise LabError(
                "Not a sign",
                f"{part}_targets of `{name}` has the value {wrong[0]:g}; {wrong.size} of {targets.size} are "
                "neither -1 nor 1.",
                "Save labels as -1.0 and 1.0.",
            )
    if len(split.train_inputs) != shape.train_rows:
        raise LabError(
            "Not as described",
            f"`{name}` has {len(split.train_inputs)} training rows, but described {shape.train_rows}.",
            "Mend its shape() or its load().",
        )
    if shape.task != "values" and (split.train_targets == split.train_targets[0]).all():
        raise LabError(
            "Only one class",
            f"All {shape.train_rows} training rows of `{name}` are of class {split.train_targets[0]:g}.",
            "Give it training rows of two classes or more: there is nothing to tell apart.",
        )


def _require_shape(what: str, array: Num[np.ndarray, "..."], expected: tuple[int, ...]) -> None:
    if array.shape != expected:
        raise LabError(
            "Not as described",
            f"{what} is of shape {array.shape}, where {expected} was expected.",
            "Mend the data, so that inputs and targets have the same rows and all inputs the same shape.",
        )


def _require_finite(what: str, array: Num[np.ndarray, "..."]) -> None:
    finite = np.isfinite(array)
    if finite.all():
        return
    nans = int(np.isnan(array).sum())
    first = tuple(int(index) for index in np.argwhere(~finite)[0])
    raise LabError(
        "Numbers that are not finite",
        f"{what} has {nans} NaN and {int((~finite).sum()) - nans} infinite of {array.size} numbers, "
        f"the first at {list(first)}, in row {first[0]}.",
        "Remove these rows, or fill in their values.",
    )


def _require_float32(what: str, array: Num[np.ndarray, "..."]) -> None:
    beyond = np.abs(array) > np.finfo(np.float32).max if array.dtype.kind == "f" else np.zeros(0, bool)
    if beyond.any():
        first = tuple(int(index) for index in np.argwhere(beyond)[0])
        raise LabError(
            "Numbers beyond float32",
            f"{what} has {int(beyond.sum())} of {array.size} numbers that are infinite in float32, the first "
            f"{array[first]:g} at {list(first)}, in row {first[0]}.",
            "Scale the data, or set dtype to float64.",
        )


def _require_numbered(what: str, kind: str, numbers: Num[np.ndarray, "..."], count: int) -> None:
    if numbers.dtype.kind not in "iu":
        raise LabError(
            "Not whole numbers", f"{what} is of type {numbers.dtype}.", "Save it as whole numbers from 0."
        )
    outside = (numbers < 0) | (numbers >= count)
    if outside.any():
        row = int(np.argwhere(outside)[0][0])
        raise LabError(
            f"{kind.capitalize()} out of range",
            f"{what} has the {kind} {numbers[outside][0]} in row {row}; they go from 0 to {count - 1}.",
            "Number them from 0 without gaps.",
        )
