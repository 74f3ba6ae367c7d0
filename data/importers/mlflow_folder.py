"""MLflow's folders: lines of `timestamp value step` in `<run>/metrics/`; `params/`, `tags/`, `meta.yaml`.

A run that was deleted, or has no metrics, is no table. Of `meta.yaml` three flat lines matter (name,
start, stage), so no parser of YAML is needed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from data.importers._arrow_columns import stream
from data.importers._importer import Importer, LogFile, LogTable, unreadable
from data.importers._long import ROLES, long_batches, long_schema, moment

_SCHEMA = long_schema(pa.int64())
_PART = re.compile(r"(?P<run>(?:.*/)?[0-9a-f]{32})/(?P<part>metrics|params|tags)/(?P<key>.+)", re.DOTALL)
_NAMED = re.compile(r"(?P<run>(?:.*/)?)(?P<part>metrics)/(?P<key>.+)", re.DOTALL)
_LINE = re.compile(rb"-?\d{1,18} [-+.\w]{1,40}(?: -?\d{1,18}(?: \S+ \S+)?)?\s*")
_LONGEST = 1 << 16
"""Bytes of a parameter, a tag or a line; MLflow allows 6000 characters."""


def _place(file: LogFile) -> tuple[str, str, str]:
    """Return the folder of a file's run, its part of it ("meta" for `meta.yaml`) and its key."""
    found = _PART.fullmatch(file.name) or _NAMED.fullmatch(file.name)
    return (found["run"].rstrip("/"), found["part"], found["key"]) if found else (file.folder, "meta", "")


def _can_read(file: LogFile) -> bool:
    """Tell metrics and `meta.yaml` by content, `params` and `tags` by the path of their run."""
    if file.base == "meta.yaml":
        return re.search(rb"^run_(?:id|uuid): ", file.head, re.MULTILINE) is not None
    _, part, key = _place(file)
    if part == "metrics":
        return _LINE.fullmatch(file.head.partition(b"\n")[0]) is not None
    return part != "meta" and bool(key) and file.size < _LONGEST and b"\0" not in file.head


def _read(connection: duckdb.DuckDBPyConnection, files: Sequence[LogFile]) -> Iterator[LogTable]:
    parts: dict[str, dict[str, LogFile]] = {"metrics": {}, "params": {}, "tags": {}, "meta": {}}
    for file in files:
        _, part, key = _place(file)
        parts[part][key] = file
    meta = _text(parts["meta"][""]) if parts["meta"] else ""
    if not parts["metrics"] or _field(meta, "lifecycle_stage") == "deleted":
        return
    for name, file in parts["metrics"].items():
        for _ in _lines(file, name):
            pass
    config = {key: _text(file) for key, file in sorted(parts["params"].items())}
    facts: dict[str, Any] = {"config": config} if config else {}
    named = _text(parts["tags"]["mlflow.runName"]) if "mlflow.runName" in parts["tags"] else ""
    if called := _field(meta, "run_name") or named:
        facts["name"] = called
    started = _field(meta, "start_time")
    if re.fullmatch(r"\d{1,18}", started) and (began := moment(int(started) / 1000)):
        facts["started"] = began
    rows = (row for name, file in sorted(parts["metrics"].items()) for row in _lines(file, name))
    yield LogTable(
        stream(connection, _SCHEMA, long_batches(rows, _SCHEMA)),
        roles=ROLES,
        units={"time": "ms"},
        facts=facts,
    )


def _lines(file: LogFile, name: str) -> Iterator[tuple[str, int, int, float]]:
    """Yield a metric's rows; a line without a step is at step 0, as MLflow has it.

    Raises:
        LabError: a line is none of MLflow's.
    """
    with file.path.open("rb") as opened:
        for number, line in enumerate(iter(lambda: opened.readline(_LONGEST), b""), 1):
            try:
                if not _LINE.fullmatch(line):
                    raise ValueError
                time, value, step = [*line.split()[:3], b"0"][:3]
                yield name, int(step), int(time), float(value)
            except ValueError:
                raise unreadable(
                    file, f"line {number} is not `timestamp value step`", "Copy the run's folder again."
                ) from None


def _text(file: LogFile) -> str:
    return file.head.decode(errors="replace").strip()


def _field(text: str, name: str) -> str:
    """Return the value of a flat line `name: value` of YAML, without its quotes; "" where there is none."""
    found = re.search(rf"^{name}: *(.*?) *$", text, re.MULTILINE)
    value = found[1] if found else ""
    if value.startswith("'") and value.endswith("'") and len(value) > 1:
        return value[1:-1].replace("''", "'")
    if value.startswith('"'):
        try:
            return str(json.loads(value))
        except ValueError:
            return value.strip('"')
    return "" if value == "null" else value


IMPORTER = Importer(
    title="MLflow folder", can_read=_can_read, read=_read, rank=10, group=lambda file: _place(file)[0]
)
