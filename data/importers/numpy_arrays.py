"""NumPy's `.npy` (begins with byte 93 and `NUMPY`) and `.npz` (a ZIP of `.npy` only), never unpickled."""

import io
import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

import duckdb
import numpy as np
import pyarrow as pa

from data.importers._arrow_columns import BATCH, stream
from data.importers._importer import Importer, LogFile, LogTable, Role, unreadable
from data.importers._text import distinct

EXPANDED = 1 << 32
"""Bytes that the arrays of one file may have in all."""

_WHOLE = 1 << 28
"""Bytes that are held at once, of an array that must be read as a whole."""

_METRICS = 1024
_HEADER = 10_000
_CHUNK = 1 << 24
_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_DAMAGE = (
    BadZipFile,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
    zlib.error,
)
_AXES: dict[str, Role] = {
    "step": "step",
    "steps": "step",
    "epoch": "epoch",
    "epochs": "epoch",
    "seed": "seed",
    "seeds": "seed",
}
_SHAPES = (
    "Save numbers of shape [steps], [runs, steps] or [runs, steps, metrics]; in an .npz all of one shape, "
    "or [runs, steps] with `step` or `epoch` of shape [steps] and `seed` of shape [runs]."
)


class _Array(NamedTuple):
    """An array that is still in its file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    open: Callable[[], IO[bytes]]
    """Its bytes, from after its header."""

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def is_npz(path: Path) -> bool:
    """Tell whether a file is a ZIP archive of `.npy` only."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except _DAMAGE:
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _can_read(file: LogFile) -> bool:
    """Tell an array by its magic, and an archive of arrays by the name of its first member."""
    if file.head.startswith(_NPY):
        return True
    length = int.from_bytes(file.head[26:28], "little")
    return file.head.startswith(_ZIP) and file.head[30 : 30 + length].endswith(b".npy")


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    for file in files:
        try:
            arrays = _arrays(file)
        except _DAMAGE as error:
            raise unreadable(file, f"it is damaged: {error}", "Save it again with NumPy.") from error
        if sum(array.nbytes for array in arrays) > EXPANDED:
            raise unreadable(
                file,
                f"its arrays have more than {EXPANDED >> 30} GiB in all",
                "Save fewer steps, or several files.",
            )
        try:
            yield _table(connection, file, arrays)
        except _DAMAGE as error:
            raise unreadable(file, f"it is damaged: {error}", "Save it again with NumPy.") from error


def _arrays(file: LogFile) -> list[_Array]:
    """Return a file's arrays, of which only the headers are read."""
    if file.head.startswith(_NPY):
        return [_array(file, file.base.removesuffix(".npy"), file.size, lambda: file.path.open("rb"))]
    with ZipFile(file.path) as archive:
        members = archive.infolist()
        other = next((member.filename for member in members if not member.filename.endswith(".npy")), None)
        if other:
            raise unreadable(file, f"`{other}` in it is no .npy", "Save arrays only, with np.savez.")
    return [
        _array(
            file, member.filename.removesuffix(".npy"), member.file_size, partial(_member, file.path, member)
        )
        for member in members
    ]


def _member(path: Path, member: ZipInfo) -> IO[bytes]:
    with ZipFile(path) as archive:
        return archive.open(member)


def _array(file: LogFile, name: str, size: int, open_whole: Callable[[], IO[bytes]]) -> _Array:
    """Read an array's header, and refuse what it says before anything else is read."""
    with open_whole() as whole:
        version = np.lib.format.read_magic(whole)
        width = 2 if version == (1, 0) else 4
        length = whole.read(width)
        if int.from_bytes(length, "little") > _HEADER:
            raise unreadable(file, f"the header of `{name}` is too long", "Save it with fewer fields.")
        header = whole.read(int.from_bytes(length, "little"))
    parse = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, fortran, dtype = parse(io.BytesIO(length + header), max_header_size=_HEADER)
    start = 8 + width + len(header)
    if dtype.hasobject:
        raise unreadable(
            file,
            f"`{name}` holds Python objects, which could run code when read",
            "Save it as an array of numbers, all rows of one length.",
        )
    if not any(_is_taken(kind) for kind in _kinds(dtype)) or not 0 < dtype.itemsize <= 1 << 20:
        raise unreadable(file, f"`{name}` is of type {dtype}, no real numbers or text", _SHAPES)
    if any(length <= 0 for length in shape):
        raise unreadable(file, f"`{name}` is of shape {list(shape)} and so holds nothing", _SHAPES)
    array = _Array(name, shape, dtype, fortran and len(shape) > 1, lambda: _after(open_whole(), start))
    if start + array.nbytes > size:
        raise unreadable(
            file,
            f"`{name}` of shape {list(shape)} needs {start + array.nbytes:,} bytes; there are {size:,}",
            "It was cut short: copy or save it again.",
        )
    return array


def _after(whole: IO[bytes], start: int) -> IO[bytes]:
    whole.read(start)
    return whole


def _kinds(dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    return [dtype[name] for name in dtype.names] if dtype.names else [dtype]


def _is_taken(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biufUSM" or (dtype.kind == "m" and np.datetime_data(dtype)[0] not in "YM")


def _table(connection: duckdb.DuckDBPyConnection, file: LogFile, arrays: list[_Array]) -> LogTable:
    """Lay arrays out as the columns of one table, its rows the steps of one run after another."""
    shapes = {array.shape for array in arrays if array.shape}
    shape = max(shapes, key=len, default=())
    axes = {array.name: array for array in arrays if len(shape) == 2 and _is_axis(array, shape)}
    metrics = [array for array in arrays if array.shape and array.name not in axes]
    if not 1 <= len(shape) <= 3 or shape[2:] > (_METRICS,) or any(array.shape != shape for array in metrics):
        found = ", ".join(f"`{array.name}` {list(array.shape)}" for array in arrays[:8])
        raise unreadable(file, f"it has arrays of shapes that make no one table: {found}", _SHAPES)
    for array in [*metrics, *axes.values()]:
        if (array.fortran or array.name in axes) and array.nbytes > _WHOLE:
            raise unreadable(
                file,
                f"`{array.name}` must be held at once, and has more than {_WHOLE >> 20} MiB",
                "Save it with np.ascontiguousarray.",
            )
    notes = []
    if len(shape) > 1:
        notes = [f"Its axes, of {list(shape)}, are taken as {['runs', 'steps', 'metrics'][: len(shape)]}."]
    if left_out := [
        name for array in metrics for name in array.dtype.names or () if name not in _fields(array)
    ]:
        notes.append(f"Left out, for they hold no single numbers: {', '.join(left_out[:8])}.")
    alone = {
        array.name: _whole(array).item()
        for array in arrays
        if not array.shape and array.dtype.kind in "biufU"
    }
    facts = {"config": alone} if alone and len(shape) == 1 else {}
    roles = {name: _AXES[name] for name in axes}
    if len(shape) > 1:
        given = set(roles.values())
        roles |= {"seed": "seed"} if "seed" not in given else {}
        roles |= {"step": "step"} if not given & {"step", "epoch"} else {}
    drawn = _batches(shape, {name: _whole(array) for name, array in axes.items()}, metrics, roles)
    first = next(drawn)
    rows = stream(connection, first.schema, chain([first], drawn))
    return LogTable(rows, roles=roles, facts=facts, notes=tuple(notes))


def _is_axis(array: _Array, shape: tuple[int, ...]) -> bool:
    """Tell whether an array numbers the runs or the steps of arrays of a shape."""
    role = _AXES.get(array.name)
    return (
        role is not None and array.dtype.kind in "iuf" and array.shape == (shape[0 if role == "seed" else 1],)
    )


def _batches(
    shape: tuple[int, ...], axes: dict[str, np.ndarray], metrics: list[_Array], roles: dict[str, Role]
) -> Iterator[pa.RecordBatch]:
    """Yield rows, as many at once as take `_CHUNK` bytes: a step each, run after run."""
    length, steps, width = (*shape, 1, 1)[:3] if len(shape) > 1 else (shape[0], 1, 1)
    total = length * steps
    names = list(
        distinct([*roles, *(name or "column" for array in metrics for name in _names(array, width))])[0]
    )
    row_bytes = sum(array.dtype.itemsize for array in metrics) * width
    rows = max(1, min(BATCH, _CHUNK // row_bytes))
    whole = [_whole(array).reshape(-1) if array.fortran else None for array in metrics]
    with ExitStack() as opened:
        streams = [opened.enter_context(array.open()) for array in metrics]
        for start in range(0, total, rows):
            places = np.arange(start, min(start + rows, total))
            cells = []
            for name, role in roles.items():
                place = places // steps if role == "seed" else places % steps
                cells.append(_arrow(axes[name][place] if name in axes else place))
            for array, bytes_of, all_of in zip(metrics, streams, whole, strict=True):
                first, count = start * width, len(places) * width
                flat = (
                    _taken(bytes_of, array.dtype, count) if all_of is None else all_of[first : first + count]
                )
                cells += _columns(flat.reshape(-1, width))
            yield pa.record_batch(cells, names)


def _taken(source: IO[bytes], dtype: np.dtype[Any], count: int) -> np.ndarray:
    found = source.read(count * dtype.itemsize)
    return np.frombuffer(found, dtype)


def _whole(array: _Array) -> np.ndarray:
    """Return an array in its shape."""
    with array.open() as bytes_of:
        flat = _taken(bytes_of, array.dtype, math.prod(array.shape))
    return flat.reshape(array.shape, order="F" if array.fortran else "C")


def _fields(array: _Array) -> list[str]:
    return [name for name in array.dtype.names or () if _is_taken(array.dtype[name])]


def _names(array: _Array, width: int) -> list[str]:
    """Return the names of an array's columns: of its fields, or its own, numbered where it has several."""
    if array.dtype.names:
        return [f"{name}{_number(place, width)}" for place in range(width) for name in _fields(array)]
    return [f"{array.name}{_number(place, width)}" for place in range(width)]


def _number(place: int, width: int) -> str:
    return "" if width == 1 else f"_{place}"


def _columns(values: np.ndarray) -> list[pa.Array]:
    """Return the columns of values [rows, metrics], in the order of `_names`."""
    columns = []
    for place in range(values.shape[1]):
        column = values[:, place]
        fields = (
            [column[name] for name in column.dtype.names if _is_taken(column.dtype[name])]
            if column.dtype.names
            else [column]
        )
        columns += [_arrow(field) for field in fields]
    return columns


def _arrow(values: np.ndarray) -> pa.Array:
    """Return values as a column: durations in seconds, bytes as UTF-8."""
    match values.dtype.kind:
        case "b":
            return pa.array(values.view(np.uint8) != 0)
        case "f":
            with np.errstate(all="ignore"):
                return pa.array(values.astype(np.float32 if values.dtype.itemsize <= 4 else np.float64))
        case "M":
            return pa.array(values.astype("datetime64[us]"))
        case "m":
            return pa.array(values / np.timedelta64(1, "s"))
        case "S":
            return pa.array([value.decode(errors="replace") for value in values.tolist()], pa.string())
        case "U":
            return pa.array(values.tolist(), pa.string())
        case _:
            return pa.array(values.astype(values.dtype.newbyteorder("=")))


IMPORTER = Importer(title="NumPy arrays", can_read=_can_read, read=_read)
