"""The blocks of the runs of a view: from sealed files as they were summed up, from all other rows anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.columns import KEYS, quoted
from data.summaries import Groups, batches, summarize
from data.view import Rows, View

LONG = 16
"""Blocks of a run from which on they are asked where its rows lie, instead of reading all rows."""
PLACES = ("lowest", "highest", "early", "late", "lost", "up", "down")

Column = npt.NDArray[Any]


@dataclass(frozen=True)
class Blocks:
    """Blocks of one metric within a range of x, those with a measured point, ordered by run and step.

    Attributes:
        columns: arrays [blocks] by name: `run`; `block`, its steps divided by `BLOCK`; `x_low` and `x_high`,
            the least and greatest x of its rows in the range, measured or not; `n` measured points; `low`
            and `high`, the least and greatest finite value, NaN without one; `final`, the last measured
            value; for each of `PLACES` the number of that row in its source, -1 for none; `source`.
        sources: SQL names of sealed rows, or rows in memory.
    """

    columns: dict[str, Column]
    sources: tuple[str | pa.Table, ...]

    def __getitem__(self, name: str) -> Column:
        """Return the array of a name."""
        return self.columns[name]


def read_blocks(
    view: View, metric: str, x: str, first: float | None, last: float | None, enough: int
) -> Blocks | None:
    """Return the blocks of a metric from the rows whose x is finite and from `first` to `last`.

    They do not depend on which rows were sealed together: blocks that lie in two files are joined, and those
    that reach beyond the range are summed up anew from their rows.

    Returns:
        None where no run has a measured point in `enough` blocks, so that its rows can be read themselves.

    Raises:
        LabError: an unknown metric.
    """
    view.require([metric])
    sources: list[str | pa.Table] = []
    summed: list[tuple[str, str]] = []
    for source in view.sources:
        found = _summed(view, source, metric, len(sources)) if metric.lower() in source.columns else None
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
            name = _kept(view, summarize(rows), len(sources))
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
        if _longest(parts) < enough:
            return None
    return Blocks(parts, tuple(sources))


def _longest(parts: dict[str, Column]) -> int:
    """Return the most blocks that a run has."""
    if not len(parts["run"]):
        return 0
    heads = Groups.by(parts["run"], parts["block"]).starts
    return int(Groups.by(parts["run"][heads]).sizes.max())


def read_rows(
    view: View, sources: Sequence[str | pa.Table], metric: str, source: Column, rows: Column
) -> pa.Table:
    """Return run, step, epoch, seconds and value of rows, given by source and number there, each once."""
    parts = []
    for place in np.unique(source).tolist():
        numbers, there = pa.array(np.unique(rows[source == place])), sources[place]
        picked = f"picked{place}"
        if isinstance(there, str):
            view.cursor.register(picked, pa.table({"number": numbers}))
            parts.append(
                f'SELECT run, step, epoch, "seconds", {quoted(metric)} AS value FROM {there} '
                f"WHERE rowid IN (SELECT number FROM {picked})"
            )
        else:
            view.cursor.register(picked, there.take(numbers))
            parts.append(f"FROM {picked}")
    return view.select(f"SELECT * REPLACE (value::DOUBLE AS value) FROM ({' UNION ALL '.join(parts)})")


def _summed(
    view: View, source: Rows, metric: str, place: int
) -> tuple[tuple[str, str], str | pa.Table] | None:
    """Return the SQL names of a source's blocks and of the metric in them, and its rows; None without any."""
    if source.blocks is not None:
        return (source.blocks, metric), source.name
    keys = ", ".join(quoted(key) for key in KEYS)
    query = f"SELECT {keys}, {quoted(metric)} AS value FROM {source.name}"
    if source.sealed:
        blocks, done = [], 0
        for part in batches(view.cursor.sql(query)):
            blocks.append(summarize(part, done))
            done += part.num_rows
        return (_kept(view, pa.concat_tables(blocks), place), "value"), source.name
    rows = view.select(f"{query} WHERE run IN (SELECT run FROM chosen) ORDER BY run, step")
    return ((_kept(view, summarize(rows), place), "value"), rows) if rows.num_rows else None


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
        # No column has the name `study`, so that every dot is before a field.
        parts.append(
            f"""SELECT run, step.block AS block, step.first AS first, step.last AS last, step.place AS place,
            step.rows AS rows, {low} AS x_low, {high} AS x_high, {value}.n::BIGINT AS n,
            {value}.low::DOUBLE AS low, {value}.high::DOUBLE AS high, {value}.final::DOUBLE AS final,
            {places}, NOT ({whole}){cut} AS loose, {source + number}::BIGINT AS source
            FROM {blocks} AS study WHERE run IN (SELECT run FROM chosen) AND {low} IS NOT NULL{kept}"""
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
