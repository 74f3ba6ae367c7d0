"""The blocks of the runs of a view: from sealed files as they were summed up, from all other rows anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.columns import KEYS, quoted
from data.summaries import BLOCK, WIDE, Groups, batches, summarize
from data.view import Rows, View

LONG = 16
"""Blocks of a run from which on they are asked where its rows lie, instead of reading all rows."""
MEASURES = ("low", "high", "opening", "closing", "final")
PLACES = ("lowest", "highest", "early", "late", "lost", "up", "down")
_CHOSEN = "WHERE run IN (SELECT run FROM chosen)"

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class Blocks:
    """Blocks of one metric within a range of x, those with a measured point, ordered by run and step.

    Attributes:
        columns: arrays [blocks] by name: `run`; `block`, its steps divided by the size of blocks; `x_low` and
            `x_high`, the least and greatest x of its rows in the range, measured or not; `n` measured
            points; `low`, `high`, `opening` and `closing`, the least, greatest, first and last finite value,
            NaN without one; `final`, the last measured value; for each of `PLACES` the number of that row in
            its source, -1 for none; `source`.
        sources: SQL names of sealed rows, or rows in memory.
    """

    columns: dict[str, Column]
    sources: tuple[str | pa.Table, ...]

    def __getitem__(self, name: str) -> Column:
        """Return the array of a name."""
        return self.columns[name]


def read_blocks(
    view: View,
    metric: str,
    x: str,
    first: float | None,
    last: float | None,
    enough: int,
    wide: bool = False,
) -> Blocks | None:
    """Return the blocks of a metric from the rows whose x is finite and from `first` to `last`.

    They do not depend on which rows were sealed together: blocks that lie in two files are joined, and those
    that reach beyond the range are summed up anew from their rows.

    Args:
        view: the runs.
        metric: a metric of the study.
        x: the axis.
        first: smallest x, None for all.
        last: largest x, None for all.
        enough: how many blocks with a measured point some run must have.
        wide: whether the blocks are wide ones where these are enough and no end is given, at which more rows
            of wide blocks would be summed up anew than fewer blocks save.

    Returns:
        None where no run has enough blocks, so that its rows can be read themselves.

    Raises:
        LabError: an unknown metric.
    """
    view.require([metric])
    sources = [source for source in view.sources if metric.lower() in source.columns]
    if not sources:
        return None
    found = None
    if wide and first is None and last is None and _most(view, sources, metric, x, WIDE) >= enough:
        found = _blocks_of(view, sources, metric, x, None, None, enough, WIDE)
    return found or _blocks_of(view, sources, metric, x, first, last, enough, BLOCK)


def _most(view: View, sources: Sequence[Rows], metric: str, x: str, size: int) -> int:
    """Return the most blocks with a measured point that a run has; live rows are counted, not summed up."""
    value, axis = quoted(metric), quoted(x)
    placed = "true" if x == "step" else f"{axis}.low IS NOT NULL"
    parts = [
        f"SELECT DISTINCT run, floor(step / {size})::BIGINT AS block FROM {name} "
        f"{_CHOSEN} AND {value} IS NOT NULL AND isfinite({axis}::DOUBLE)"
        if blocks is None
        else f"SELECT run, step.block AS block FROM {blocks}{size} AS study "
        f"{_CHOSEN} AND {value}.n > 0 AND {placed}"
        for name, _, _, blocks in sources
    ]
    found = view.select(
        "SELECT max(n) AS n FROM (SELECT count(DISTINCT block) AS n "
        f"FROM ({' UNION ALL '.join(parts)}) GROUP BY run)"
    )
    return int(found["n"][0].as_py() or 0)


def _blocks_of(
    view: View,
    rows_of: Sequence[Rows],
    metric: str,
    x: str,
    first: float | None,
    last: float | None,
    enough: int,
    size: int,
) -> Blocks | None:
    sources: list[str | pa.Table] = []
    summed: list[tuple[str, str]] = []
    for source in rows_of:
        found = _summed(view, source, metric, len(sources), size)
        if found is not None:
            summed.append(found[0])
            sources.append(found[1])
    if not sources:
        return None
    parts = _ordered(_columns(view, summed, 0, x, first, last))
    if _longest(parts) < enough:
        return None
    loose = _of_whole_blocks(parts, parts["loose"] | _overlapping(parts))
    if loose.any():
        rows = _inside(
            view, sources, metric, {name: column[loose] for name, column in parts.items()}, x, first, last
        )
        parts = {name: column[~loose] for name, column in parts.items()}
        if rows.num_rows:
            name = _kept(view, summarize(rows, size), len(sources))
            more = _columns(view, [(name, "value")], len(sources), x, first, last)
            parts = _ordered({name: np.concatenate([parts[name], more[name]]) for name in parts})
            sources.append(rows)
    if len(parts["run"]):
        groups = Groups.by(parts["run"], parts["block"])
        if len(groups.starts) < len(parts["run"]):
            parts["x_low"] = np.repeat(groups.least(parts["x_low"]), groups.sizes)
            parts["x_high"] = np.repeat(groups.greatest(parts["x_high"]), groups.sizes)
    measured = parts["n"] > 0
    if not measured.all():
        parts = {name: column[measured] for name, column in parts.items()}
    return Blocks(parts, tuple(sources)) if _longest(parts) >= enough else None


def _longest(parts: dict[str, Column]) -> int:
    """Return the most blocks that a run has."""
    if not len(parts["run"]):
        return 0
    heads = Groups.by(parts["run"], parts["block"]).starts
    return int(Groups.by(parts["run"][heads]).sizes.max())


def read_rows(
    view: View, sources: Sequence[str | pa.Table], metric: str | None, source: Column, rows: Column
) -> pa.Table:
    """Return run, step, epoch, seconds and value of different rows, ordered by source and number there.

    Without a metric there is no value, and none of a metric's column is read.
    """
    parts = []
    value = "" if metric is None else f", {quoted(metric)}::DOUBLE AS value"
    for place in np.flatnonzero(np.bincount(source)).tolist():
        numbers, there = rows[source == place], sources[place]
        keys = f'{place} AS source, number, run, step, epoch, "seconds"'
        if isinstance(there, str):
            view.cursor.register(f"picked{place}", pa.table({"number": numbers}))
            number = keys.replace("number", "rowid AS number", 1)
            parts.append(
                f"SELECT {number}{value} FROM {there} WHERE rowid IN (SELECT number FROM picked{place})"
            )
        else:
            picked = there.take(numbers).append_column("number", pa.array(numbers))
            view.cursor.register(f"picked{place}", picked)
            held = "" if metric is None else ", value::DOUBLE AS value"
            parts.append(f"SELECT {keys}{held} FROM picked{place}")
    found = view.select(f"FROM ({' UNION ALL '.join(parts)}) ORDER BY source, number")
    return found.drop_columns(["source", "number"])


def _summed(
    view: View, source: Rows, metric: str, place: int, size: int
) -> tuple[tuple[str, str], str | pa.Table] | None:
    """Return the SQL names of a source's blocks and of the metric in them, and its rows; None without any."""
    if source.blocks is not None:
        return (f"{source.blocks}{size}", metric), source.name
    keys = ", ".join(quoted(key) for key in KEYS)
    query = f"SELECT {keys}, {quoted(metric)} AS value FROM {source.name}"
    if source.sealed:
        blocks, done = [], 0
        for part in batches(view.cursor.sql(query)):
            blocks.append(summarize(part, size, done))
            done += part.num_rows
        return (_kept(view, pa.concat_tables(blocks), place), "value"), source.name
    rows = view.select(f"{query} {_CHOSEN} ORDER BY run, step")
    return ((_kept(view, summarize(rows, size), place), "value"), rows) if rows.num_rows else None


def _kept(view: View, blocks: pa.Table, place: int) -> str:
    view.cursor.register(f"summed{place}", blocks)
    return f"summed{place}"


def _columns(
    view: View,
    summed: list[tuple[str, str]],
    source: int,
    x: str,
    first: float | None,
    last: float | None,
) -> dict[str, Column]:
    """Return the blocks of the chosen runs that reach into the range; the first table is number `source`."""
    axis = quoted(x)
    whole, low, high = f"{axis}.n = step.rows", f"{axis}.low", f"{axis}.high"
    if x == "step":
        whole, low, high = "true", "step.first::DOUBLE", "step.last::DOUBLE"
    given = {name: end for name, end in (("first", first), ("last", last)) if end is not None}
    beyond = {"first": f"{low} < $first", "last": f"{high} > $last"}
    outside = {"first": f"{high} < $first", "last": f"{low} > $last"}
    cut = "".join(f" OR {beyond[name]}" for name in given)
    kept = "".join(f" AND NOT {outside[name]}" for name in given)
    parts = []
    for number, (blocks, metric) in enumerate(summed):
        value = quoted(metric)
        places = ", ".join(f"coalesce(step.place + {value}.{name}, -1) AS {name}" for name in PLACES)
        measures = ", ".join(f"{value}.{name}::DOUBLE AS {name}" for name in MEASURES)
        # No column has the name `study`, so that every dot is before a field.
        parts.append(
            f"""SELECT run, step.block AS block, step.first AS first, step.last AS last, step.place AS place,
            step.rows AS rows, {low} AS x_low, {high} AS x_high, {value}.n::BIGINT AS n,
            {measures}, {places}, NOT ({whole}){cut} AS loose, {source + number}::BIGINT AS source
            FROM {blocks} AS study {_CHOSEN} AND {low} IS NOT NULL{kept}"""
        )
    table = view.select(" UNION ALL ".join(parts), **given)
    return {name: table[name].to_numpy() for name in table.schema.names}


def _ordered(parts: dict[str, Column]) -> dict[str, Column]:
    """Return the blocks ordered by run and step."""
    run, first = parts["run"], parts["first"]
    if ((run[1:] > run[:-1]) | ((run[1:] == run[:-1]) & (first[1:] >= first[:-1]))).all():
        return parts
    order = np.lexsort((first, run))
    return {name: column[order] for name, column in parts.items()}


def _overlapping(found: dict[str, Column]) -> Column:
    """Return which parts begin before the part before them ends: their rows are interleaved."""
    run, first, last = found["run"], found["first"], found["last"]
    over = np.zeros(len(run), dtype=bool)
    over[1:] = (run[1:] == run[:-1]) & (first[1:] <= last[:-1])
    return over


def _of_whole_blocks(found: dict[str, Column], some: Column) -> Column:
    """Return which parts belong to a block of which some part is chosen."""
    if not some.any():
        return some
    groups = Groups.by(found["run"], found["block"])
    return np.repeat(np.logical_or.reduceat(some, groups.starts), groups.sizes)


def block_rows(view: View, blocks: Blocks, metric: str, chosen: Column) -> pa.Table:
    """Return all rows of some blocks, measured or not, ordered by run and step: as `read_rows`."""
    return _whole(view, blocks.sources, metric, {name: each[chosen] for name, each in blocks.columns.items()})


def _whole(view: View, sources: Sequence[str | pa.Table], metric: str, parts: dict[str, Column]) -> pa.Table:
    sizes = parts["rows"].astype(np.int64)
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    numbers = np.repeat(parts["place"], sizes) + within
    rows = read_rows(view, sources, metric, np.repeat(parts["source"], sizes), numbers)
    return rows.sort_by([("run", "ascending"), ("step", "ascending")])


def _inside(
    view: View,
    sources: Sequence[str | pa.Table],
    metric: str,
    parts: dict[str, Column],
    x: str,
    first: float | None,
    last: float | None,
) -> pa.Table:
    """Return the rows of blocks whose x is finite and in the range, ordered by run and step."""
    rows = _whole(view, sources, metric, parts)
    at = rows[x].to_numpy()
    inside = np.isfinite(at)
    if first is not None:
        inside &= at >= first
    if last is not None:
        inside &= at <= last
    return rows.filter(pa.array(inside))
