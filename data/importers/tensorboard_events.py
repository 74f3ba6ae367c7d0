"""TensorBoard's event files, as TensorFlow, PyTorch and tensorboardX write them: records with a CRC32C."""

import math
import re
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import duckdb
import google_crc32c
import numpy as np
import pyarrow as pa
from google.protobuf.message import DecodeError

from data.importers._arrow_columns import stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable
from data.importers._long import ROLES, long_batches, long_schema, moment
from data.importers._tensorboard_messages import Event, HParams

_SCHEMA = long_schema(pa.float64())
_LARGEST = 1 << 24
"""Bytes of a record beyond which it is checked and skipped: an image or a graph, not a number."""

_CHUNK = 1 << 20
_TENSORS = {
    1: ("<f4", "float_val"),
    2: ("<f8", "double_val"),
    3: ("<i4", "int_val"),
    4: ("u1", "int_val"),
    5: ("<i2", "int_val"),
    6: ("i1", "int_val"),
    9: ("<i8", "int64_val"),
    10: ("?", "bool_val"),
    14: ("<u2", "half_val"),
    17: ("<u2", "int_val"),
    19: ("<f2", "half_val"),
    22: ("<u4", "uint32_val"),
    23: ("<u8", "uint64_val"),
}
"""By TensorFlow's number of a type: the bytes of its content, and the field of its values."""

_BFLOAT16, _HALF = 14, 19
_PLURALS = {"image": "images", "histo": "histograms", "audio": "audio clips", "tensor": "tensors"}


@dataclass
class _Tag:
    """What a first reading found of a metric.

    Attributes:
        seen: rows so far.
        steps: of the rows that stand, never falling.
        restarts: row and step of every return to an earlier step, unless a later one goes behind it.
    """

    seen: int = 0
    steps: "array[int]" = field(default_factory=lambda: array("q"))
    restarts: list[tuple[int, int]] = field(default_factory=list)

    def add(self, step: int) -> int:
        """Take the next row, and return how many it purges: as in TensorBoard, all that are not before it."""
        purged = 0
        if self.steps and step < self.steps[-1]:
            start = bisect_left(self.steps, step)
            purged = len(self.steps) - start
            del self.steps[start:]
            while self.restarts and self.restarts[-1][1] >= step:
                self.restarts.pop()
            self.restarts.append((self.seen, step))
        self.steps.append(step)
        self.seen += 1
        return purged


@dataclass
class _Run:
    """What a first reading found in the files of a run.

    Attributes:
        ends: where the last whole record of each file ends, in bytes.
    """

    tags: defaultdict[str, _Tag] = field(default_factory=lambda: defaultdict(_Tag))
    ends: list[int] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    config: dict[str, Any] = field(default_factory=dict)
    started: float | None = None
    purged: int = 0
    notes: list[str] = field(default_factory=list)


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    files = sorted(files, key=_written)
    run = _Run()
    for file in files:
        _survey(file, run)
    if not run.tags:
        found = ", ".join(f"{count} {kind}" for kind, count in run.skipped.items()) or "nothing"
        raise unreadable(files[0], f"it has no scalars; it has {found}", "Log metrics with add_scalar.")
    if run.skipped:
        run.notes.append(f"Skipped: {', '.join(f'{count:,} {kind}' for kind, count in run.skipped.items())}.")
    if run.purged:
        run.notes.append(
            f"The run went back to earlier steps; {run.purged:,} rows from before that, at or after those "
            "steps, are left out, as TensorBoard does."
        )
    facts: dict[str, Any] = {"config": run.config} if run.config else {}
    if run.started is not None and (started := moment(run.started)):
        facts["started"] = started
    rows = stream(connection, _SCHEMA, long_batches(_standing(files, run), _SCHEMA))
    yield LogTable(rows, roles=ROLES, units={"time": "s"}, facts=facts, notes=tuple(run.notes))


def _written(file: LogFile) -> tuple[int, str]:
    """Return when a file was begun, in seconds since 1970 by its name, and its name."""
    began = re.search(r"tfevents\.(\d{1,18})", file.base)
    return int(began[1]) if began else 0, file.name


def _survey(file: LogFile, run: _Run) -> None:
    """Go through a file once, checking every record, and add to what is known of the run."""
    with file.path.open("rb") as opened:
        end = 0
        for start, stop, payload in _records(file, opened):
            end = stop
            if payload is None:
                run.skipped["records too large for a number"] += 1
                continue
            event = _event(file, start, payload)
            if run.started is None and event.wall_time > 0:
                run.started = event.wall_time
            if event.WhichOneof("what") in ("graph_def", "meta_graph_def"):
                run.skipped["graphs"] += 1
            for value in event.summary.value:
                if _number(value) is not None:
                    run.purged += run.tags[value.tag].add(event.step)
                elif value.metadata.plugin_data.plugin_name == "hparams":
                    run.config |= _config(value.metadata.plugin_data.content)
                elif kind := value.WhichOneof("value"):
                    run.skipped[_kind(kind, value)] += 1
    run.ends.append(end)
    if end < file.size:
        run.notes.append(
            f"`{file.base}` breaks off within its last record, after byte {end:,}: its run was killed or "
            "still goes on; every row before is here."
        )


def _standing(files: Sequence[LogFile], run: _Run) -> Iterator[tuple[str, int, float, float]]:
    """Yield the rows that no later restart purges, in the order of the files."""
    seen: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    for file, end in zip(files, run.ends, strict=True):
        with file.path.open("rb") as opened:
            for start, _, payload in _records(file, opened, end):
                event = Event() if payload is None else _event(file, start, payload)
                for value in event.summary.value:
                    number = _number(value)
                    if number is None:
                        continue
                    tag = value.tag
                    if restarts := run.tags[tag].restarts:
                        while passed[tag] < len(restarts) and restarts[passed[tag]][0] <= seen[tag]:
                            passed[tag] += 1
                        seen[tag] += 1
                        if passed[tag] < len(restarts) and event.step >= restarts[passed[tag]][1]:
                            continue
                    yield tag, event.step, event.wall_time, number


def _records(
    file: LogFile, opened: BinaryIO, end: int | None = None
) -> Iterator[tuple[int, int, bytes | None]]:
    """Yield each whole record: where it starts and ends, and its bytes, or None where it is too large.

    Raises:
        LabError: a checksum does not hold.
    """
    size = file.size if end is None else end
    start = 0
    while start + 12 <= size:
        head = opened.read(12)
        length = int.from_bytes(head[:8], "little")
        if len(head) < 12 or _masked(google_crc32c.value(head[:8])) != head[8:]:
            raise _damaged(file, start)
        if start + length + 16 > size:
            return
        payload = opened.read(length) if length <= _LARGEST else None
        checksum = google_crc32c.value(payload) if payload is not None else _checksum(opened, length)
        if _masked(checksum) != opened.read(4):
            raise _damaged(file, start)
        yield start, start + length + 16, payload
        start += length + 16


def _checksum(opened: BinaryIO, length: int) -> int:
    checksum = 0
    for start in range(0, length, _CHUNK):
        checksum = google_crc32c.extend(checksum, opened.read(min(_CHUNK, length - start)))
    return int(checksum)


def _masked(checksum: int) -> bytes:
    """Return a checksum as TFRecord stores it: turned right by 15 bits, and a constant added."""
    turned = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return (turned + 0xA282EAD8 & 0xFFFFFFFF).to_bytes(4, "little")


def _damaged(file: LogFile, start: int) -> Exception:
    return unreadable(
        file, f"the checksum of its record at byte {start:,} does not hold", "It was damaged: copy it again."
    )


def _event(file: LogFile, start: int, payload: bytes) -> Any:
    try:
        return Event.FromString(payload)
    except DecodeError as error:
        raise unreadable(
            file, f"its record at byte {start:,} is no event of TensorBoard", "Import the folder of a run."
        ) from error


def _number(value: Any) -> float | None:
    """Return what was logged, where it is one number."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.metadata.plugin_data.plugin_name not in ("", "scalars"):
        return None
    tensor = value.tensor
    if tensor.dtype not in _TENSORS or math.prod(axis.size for axis in tensor.tensor_shape.dim) != 1:
        return None
    dtype, values = _TENSORS[tensor.dtype]
    if tensor.tensor_content:
        if len(tensor.tensor_content) != np.dtype(dtype).itemsize:
            return None
        number = np.frombuffer(tensor.tensor_content, dtype)[0]
    else:
        number = next(iter(getattr(tensor, values)), 0)
        if tensor.dtype == _HALF:
            number = np.uint16(number & 0xFFFF).view(np.float16)
    if tensor.dtype == _BFLOAT16:
        number = np.uint32((int(number) & 0xFFFF) << 16).view(np.float32)
    return float(number)


def _kind(kind: str, value: Any) -> str:
    """Return what a summary that is no scalar is called."""
    return value.metadata.plugin_data.plugin_name or _PLURALS.get(kind, "others")


def _config(content: bytes) -> dict[str, Any]:
    """Return the settings that the hparams plugin keeps for a run; none where it keeps something else."""
    try:
        entries = HParams.FromString(content).session_start_info.hparams
    except DecodeError:
        return {}
    settings = {entry.key: (entry.value, entry.value.WhichOneof("kind")) for entry in entries}
    return {key: getattr(value, kind) for key, (value, kind) in settings.items() if kind}


def _can_read(file: LogFile) -> bool:
    """Tell a first record whose length has a checksum that holds, and that has a time, as every event has."""
    head = file.head
    return head[12:13] == b"\x09" and _masked(google_crc32c.value(head[:8])) == head[8:12]


IMPORTER = Importer(
    title="TensorBoard events", can_read=_can_read, read=_read, rank=10, group=lambda file: file.folder
)
