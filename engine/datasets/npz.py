"""A user's own arrays: one ``.npz`` file, or a folder with a file for each array."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from jaxtyping import Num

from data.errors import LabError
from engine.datasets._dataset import Dataset, Shape, Split
from engine.datasets._settings import defaults, require_at_least
from engine.datasets._user_files import Stamp, require_checksum, stamp, user_path
from engine.tasks import Task

NAMES = ("train_inputs", "train_targets", "test_inputs", "test_targets")
SAVE = f"Save it with np.savez(path, {', '.join(f'{name}=...' for name in NAMES)})."


def shape(path: str = "", tokens: int = 0, **_: Any) -> Shape:
    """Describe the data; the targets are read, of the inputs only the header.

    Raises:
        LabError: as of `load`, but for the checksum.
    """
    require_at_least(0, tokens=tokens)
    return _described(stamp(_files(path)), tokens)


def load(path: str = "", tokens: int = 0, sha256: str = "") -> Split:
    """Return the arrays as they are, inputs as float64 or, where they are tokens, as int64.

    Targets of whole numbers are classes. Targets of one number an example, always -1.0 or 1.0, are signs. Any
    others are values, with the outputs on the last axis; a lone axis counts as one output. Nothing is
    standardized. Pickled objects are never read.

    Args:
        path: an ``.npz`` file with `train_inputs`, `train_targets`, `test_inputs` and `test_targets`, or a
            folder with one ``.npy`` or ``.npz`` (of one array) for each.
        tokens: size of the vocabulary where inputs are tokens; 0 where they are measurements.
        sha256: checksum of the file; of a folder, of what ``sha256sum`` lists for its four files in the order
            above. Empty for any.

    Raises:
        LabError: nothing there, an array missing or damaged, of objects, of different lengths, or another
            checksum.
    """
    require_at_least(0, tokens=tokens)
    files = _files(path)
    require_checksum(own_files(path), sha256)
    train, train_targets, test, test_targets = (
        _read(file, name) for file, name in zip(files, NAMES, strict=True)
    )
    for part, inputs, targets in (("train", train, train_targets), ("test", test, test_targets)):
        if len(inputs) != len(targets):
            raise LabError(
                "Arrays of different lengths",
                f"`{part}_inputs` of `{path}` has {len(inputs)} rows, `{part}_targets` has {len(targets)}.",
                "Give every example one target.",
            )
        if tokens and inputs.dtype.kind == "f":
            raise LabError(
                "Tokens must be whole numbers",
                f"`{part}_inputs` of `{path}` is of type {inputs.dtype}, but dataset.tokens is {tokens}.",
                "Save tokens as whole numbers, or set dataset.tokens to 0.",
            )
    task, _ = _meaning(train_targets, test_targets)
    kind = np.int64 if tokens else np.float64
    train_targets, test_targets = (
        targets.astype(np.int64 if task == "classes" else np.float64)
        for targets in (train_targets, test_targets)
    )
    if task == "values" and train_targets.ndim == 1:
        train_targets, test_targets = train_targets[:, None], test_targets.reshape(len(test_targets), -1)
    return Split(train.astype(kind), train_targets, test.astype(kind), test_targets)


@lru_cache(maxsize=8)
def _described(files: Stamp, tokens: int) -> Shape:
    """Describe files that have not changed since."""
    (inputs, *_), (targets, *_), _, (test_targets, *_) = files
    rows, *example = _header(inputs, NAMES[0])[0]
    if not example:
        raise LabError(
            "Inputs without an axis of features",
            f"`{NAMES[0]}` of `{inputs}` is of shape ({rows},): a number an example, on no axis of its own.",
            f"Save it as {NAMES[0]}.reshape(-1, 1), and the test inputs too.",
        )
    task, outputs = _meaning(_read(targets, NAMES[1]), _read(test_targets, NAMES[3]))
    return Shape(rows, tuple(example), outputs, task, tokens or None)


def _meaning(
    train: Num[np.ndarray, "examples *target"], test: Num[np.ndarray, "held_out *target"]
) -> tuple[Task, int]:
    """Return what targets are, and how many outputs they ask for."""
    if train.dtype.kind != "f" and train.ndim == 1:
        if len(test) and test.dtype.kind == "f":
            raise LabError(
                "Targets of two kinds",
                f"`train_targets` are whole numbers, but `test_targets` is of type {test.dtype}.",
                "Save classes as whole numbers, signs and values as floating-point numbers, in both.",
            )
        classes = np.concatenate([train, test]).astype(np.int64)
        if len(classes) and classes.min() < 0:
            raise LabError(
                "Class out of range",
                f"There is a class {classes.min()}; classes are numbered from 0.",
                "Save signs as -1.0 and 1.0, of a floating-point type.",
            )
        return "classes", int(classes.max(initial=0)) + 1
    if train.ndim == 1 and len(train) and all((np.abs(part) == 1).all() for part in (train, test)):
        return "signs", 1
    return "values", train.shape[-1] if train.ndim > 1 else 1


def own_files(path: str = "", **_: Any) -> list[Path]:
    """Return every file once.

    Raises:
        LabError: nothing there, or an array missing.
    """
    return list(dict.fromkeys(_files(path)))


def _files(path: str) -> list[Path]:
    """Return the file that holds each array, in the order of `NAMES`."""
    what = f"an .npz file, or a folder of .npy or .npz files, with {', '.join(NAMES)}"
    found = user_path(path, what)
    if not found.is_dir():
        if found.suffix != ".npz":
            raise LabError(
                "Not an .npz file", f"`{path}` is neither an .npz file nor a folder.", f"Name {what}."
            )
        return [found] * len(NAMES)
    files = []
    for name in NAMES:
        there = [file for file in (found / f"{name}.npy", found / f"{name}.npz") if file.is_file()]
        if not there:
            raise LabError("Array missing", f"`{path}` has no {name}.npy and no {name}.npz.", f"Name {what}.")
        if len(there) > 1:
            raise LabError("Array twice", f"`{path}` has both {name}.npy and {name}.npz.", "Remove one.")
        files += there
    return files


@contextmanager
def _stream(file: Path, name: str) -> Iterator[IO[bytes]]:
    """Open the array's bytes, and say of any damage found in them what is damaged."""
    try:
        if file.suffix == ".npy":
            with file.open("rb") as stream:
                yield stream
            return
        with ZipFile(file) as archive:
            members = archive.namelist()
            alone = file.stem == name and len(members) == 1
            if not alone and f"{name}.npy" not in members:
                raise LabError(
                    "Array missing",
                    f"`{file}` has no `{name}`; it has "
                    f"{', '.join(member.removesuffix('.npy') for member in members) or 'nothing'}.",
                    SAVE,
                )
            with archive.open(members[0] if alone else f"{name}.npy") as member:
                yield member
    except (BadZipFile, EOFError, OSError, RuntimeError, TokenError, ValueError, zlib.error) as error:
        raise LabError("Unreadable file", f"`{name}` of `{file}` cannot be read: {error}", SAVE) from error


def _header(file: Path, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return an array's shape and type without reading it, and refuse what is not numbers in rows."""
    with _stream(file, name) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version[0] == 1 else np.lib.format.read_array_header_2_0
        size, _, kind = read(stream)
    if kind.hasobject:
        raise LabError(
            "Array of objects",
            f"`{name}` of `{file}` holds Python objects, which could run code when read.",
            "Save it as an array of numbers, all rows of one length.",
        )
    if kind.kind not in "biuf" or not size:
        raise LabError(
            "Not numbers in rows",
            f"`{name}` of `{file}` is of type {kind} and shape {size}.",
            "Save real numbers with examples along the first axis.",
        )
    return size, kind


def _read(file: Path, name: str) -> Num[np.ndarray, "examples *example"]:
    _header(file, name)
    with _stream(file, name) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


DATASET = Dataset(
    title="Arrays of your own",
    source="a file or folder that you name with dataset.path",
    shape=shape,
    load=load,
    settings=defaults(load),
    files=own_files,
)
