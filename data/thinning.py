"""Thins traces for the screen without losing a spike, a gap's edge or a value that is not finite."""

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.columns import quoted
from data.events import Events, aligned
from data.summaries import Groups, marks
from data.summarized import Blocks, read_blocks, read_rows
from data.view import View, between

Axis = Literal["step", "epoch", "seconds"]
_BLOCKS_IN_A_BUCKET = 4
"""From so many on, a bucket is made of whole blocks: its ends are then off by less than a quarter."""
_SHIFT = (5**0.5 - 1) / 2
"""By how much of a bucket each run's begin before those of the last: multiples of it fill [0, 1) evenly."""
_ROWS = 1 << 20
"""About how many rows are in memory at once where rows are read."""


class Thinned(NamedTuple):
    """A trace with as many points as a screen can show.

    `frame` has arm, seed, run, step, epoch, seconds, x, value and kind ("finite", "nan", "+inf" or "-inf"),
    ordered by arm, seed, step: `shown` of the `total` measured points.
    """

    frame: pd.DataFrame
    shown: int
    total: int


_KIND = """CASE WHEN isfinite(value) THEN 'finite' WHEN isnan(value) THEN 'nan'
    WHEN value > 0 THEN '+inf' ELSE '-inf' END"""


def axis(x: str) -> str:
    """Return the SQL of an x-axis as DOUBLE.

    Raises:
        ValueError: an axis that does not exist.
    """
    if x not in ("step", "epoch", "seconds"):
        raise ValueError(f"`x` must be step, epoch or seconds; got {x!r}.")
    return f"{quoted(x)}::DOUBLE"


def measured(view: View, metric: str, x: Axis, events: Events | None = None) -> str:
    """Return SQL for the measured points of a metric: run, step, epoch, seconds, x and value.

    A point whose x is unknown or not finite has no place on the axis and is left out. With `events`, x is
    counted from the event of each run, and runs without one are left out.
    """
    place = axis(x)
    points = (
        f'(SELECT run, step, epoch, "seconds", {place} AS x, {quoted(metric)}::DOUBLE AS value '
        f"FROM {view.rows([metric])} WHERE {quoted(metric)} IS NOT NULL AND isfinite({place}))"
    )
    return points if events is None else aligned(view, points, place, events)


def thin(
    view: View,
    metric: str,
    x: Axis = "step",
    first: float | None = None,
    last: float | None = None,
    points: int = 1000,
    window: int = 1,
    events: Events | None = None,
) -> Thinned:
    """Thin every run of the view to about `points` points that look like all of them.

    A run with at most `points` points in the range keeps them all. Of a longer one, the range of x is cut
    into points / 4 buckets of even width, and each bucket keeps its first, last, smallest and largest finite
    point (of equal ones the earliest) and the first NaN, +Inf and -Inf. Each run's buckets begin elsewhere:
    were they the same, many runs of few buckets would seem to do something together at every edge. Where
    the longest run has four or more blocks of steps (`data.summaries`) for each bucket, a block is not cut:
    it lies in the bucket of its least x.

    Args:
        view: the runs.
        metric: a metric of the study.
        x: what the buckets are even in.
        first: smallest x to keep, in units of `x`.
        last: largest x to keep.
        points: how many finite points a run may keep; at least 4.
        window: length of a centred moving mean, in measured points, taken before anything is cut or thinned;
            it shrinks at the ends, skips values that are not finite and leaves those as they are.
        events: the step, by run, from which x is counted; runs without one are left out.

    Raises:
        ValueError: `points` below 4, `window` below 1 or an unknown `x`.
        LabError: an unknown metric.
    """
    if points < 4:
        raise ValueError(f"`points` must be at least 4; got {points}.")
    if window < 1:
        raise ValueError(f"`window` must be at least 1; got {window}.")
    source = measured(view, metric, x, events)
    if window == 1 and events is None:
        enough = _BLOCKS_IN_A_BUCKET * (points // 4)
        blocks = read_blocks(view, metric, x, first, last, enough, wide=True)
        if blocks is not None:
            return _from_blocks(view, metric, x, blocks, source, first, last, points)
    return _from_rows(view, source, first, last, points, window)


def _from_rows(
    view: View, source: str, first: float | None, last: float | None, points: int, window: int
) -> Thinned:
    """Thin by rows, some runs at a time, so that memory does not grow with the study."""
    bounds, given = between("x", first, last)
    # A mean reaches beyond the range.
    inside = "true" if window > 1 else bounds
    runs = view.select(
        f"SELECT run, count(*) AS read, count(*) FILTER ({bounds}) AS n, min(x) FILTER ({bounds}) AS low, "
        f"max(x) FILTER ({bounds}) AS high FROM {source} WHERE {inside} GROUP BY run HAVING n > 0 "
        "ORDER BY run",
        **given,
    )
    read, size, low, high = (runs[name].to_numpy() for name in ("read", "n", "low", "high"))
    part = (np.cumsum(read) - read) // _ROWS
    parts = [view.select(f"SELECT * FROM {source} WHERE false")]
    for number in np.unique(part):
        chosen = runs["run"].to_numpy()[part == number]
        rows = view.select(
            f"SELECT * FROM {source} WHERE run BETWEEN {chosen[0]} AND {chosen[-1]} AND {inside} "
            "ORDER BY run, step",
            **({} if window > 1 else given),
        )
        if window > 1:
            rows = _smoothed(rows, window)
            if given:
                view.cursor.register("smoothed", rows)
                rows = view.select(f"SELECT * FROM smoothed WHERE {bounds} ORDER BY run, step", **given)
        run, at, value = (rows[name].to_numpy() for name in ("run", "x", "value"))
        long = np.isin(run, chosen[size[part == number] > points])
        bucket = _bucket(run, at, float(low.min()), float(high.max()), points)
        parts.append(rows.take(_kept(run, bucket, value, long)))
    return _drawn(view, pa.concat_tables(parts), int(size.sum()))


def _bucket(
    run: npt.NDArray[np.int32], at: npt.NDArray[np.float64], low: float, high: float, points: int
) -> npt.NDArray[np.float64]:
    """Return the bucket of each x: points / 4 of them from `low` to `high`, the first and the last cut."""
    shift = run * _SHIFT % 1.0
    return np.floor((at - low) * (points // 4 - 1) / ((high - low) or 1.0) + shift)


def _kept(
    run: npt.NDArray[np.int32],
    bucket: npt.NDArray[np.float64],
    value: npt.NDArray[np.float64],
    long: npt.NDArray[np.bool_],
) -> npt.NDArray[np.intp]:
    """Return which rows, ordered by run and step, are kept: all of short runs, of long ones by bucket."""
    order = np.flatnonzero(long)
    if ((bucket[1:] < bucket[:-1]) & (run[1:] == run[:-1])).any():
        # An axis may run back, as the seconds of a run that was resumed elsewhere.
        order = order[np.lexsort((bucket[order], run[order]))]
    kept = ~long
    if len(order):
        groups = Groups.by(run[order], bucket[order])
        for rows in marks(groups, value[order], np.ones(len(order), dtype=bool)).values():
            kept[order[rows[rows >= 0]]] = True
    return np.flatnonzero(kept)


def _drawn(view: View, rows: pa.Table, total: int) -> Thinned:
    view.cursor.register("drawn", rows)
    frame = view.frame(
        f'SELECT arm, seed, run, step, epoch, "seconds", x, value, {_KIND} AS kind '
        "FROM drawn JOIN chosen USING (run) ORDER BY arm, seed, step"
    )
    return Thinned(frame, len(frame), total)


def _smoothed(rows: pa.Table, window: int) -> pa.Table:
    """Return rows, ordered by run and step, whose finite values are centred moving means of such values."""
    values = rows["value"].to_numpy()
    means = values.copy()
    runs = Groups.by(rows["run"].to_numpy())
    for start, size in zip(runs.starts.tolist(), runs.sizes.tolist(), strict=True):
        means[start : start + size] = _moving_mean(values[start : start + size], window)
    return rows.set_column(rows.schema.get_field_index("value"), "value", pa.array(means))


def _moving_mean(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    finite = np.isfinite(values)
    width = min(window, 2 * len(values))
    around, ones = ((width - 1) - width // 2, width // 2), np.ones(width)
    # A sum for each window: differences of one running sum would carry a spike into all that follows it. A
    # power of two, which is exact, keeps a sum of large values from overflowing.
    scale = 2.0 ** np.ceil(np.log2(width))
    sums = np.convolve(np.pad(np.where(finite, values, 0.0) / scale, around), ones, "valid")
    counts = np.convolve(np.pad(finite.astype(np.float64), around), ones, "valid")
    return np.where(finite, np.divide(sums, counts, where=finite, out=sums) * scale, values)


def _from_blocks(
    view: View,
    metric: str,
    x: Axis,
    blocks: Blocks,
    source: str,
    first: float | None,
    last: float | None,
    points: int,
) -> Thinned:
    """Thin by blocks: only rows that may be kept are read, and all of those of short runs."""
    ends = float(blocks["x_low"].min()), float(blocks["x_high"].max())
    bucket = _bucket(blocks["run"], blocks["x_low"], *ends, points)
    runs = Groups.by(blocks["run"])
    sizes = np.add.reduceat(blocks["n"], runs.starts)
    long = sizes > points
    picked = _candidates(blocks, bucket, np.flatnonzero(long[runs.of]))
    rows = read_rows(view, blocks.sources, None, picked["source"], picked["number"])
    at = rows[x].cast(pa.float64())
    rows = rows.append_column("x", at).append_column("value", pa.array(picked["value"]))
    run, step = rows["run"].to_numpy(), rows["step"].to_numpy()
    order = np.lexsort((step, run))
    kept = _kept(run[order], picked["bucket"][order], picked["value"][order], np.ones(len(run), dtype=bool))
    rows = rows.take(order[kept])
    if not long.all():
        view.cursor.register("long", pa.table({"run": blocks["run"][runs.starts][long]}))
        bounds, given = between("x", first, last)
        short = view.select(f"SELECT * FROM {source} WHERE run NOT IN (FROM long) AND {bounds}", **given)
        rows = pa.concat_tables([rows, short.select(rows.schema.names)], promote_options="permissive")
    return _drawn(view, rows, int(sizes.sum()))


def _candidates(
    blocks: Blocks, bucket: npt.NDArray[np.float64], chosen: npt.NDArray[np.intp]
) -> dict[str, npt.NDArray[Any]]:
    """Return the rows that may be kept of the chosen blocks, by stretch of a bucket, each once.

    These are arrays source, number, bucket and value, ordered by source and number; the value is known from
    the blocks, so that none of the metric's own rows is read.
    """
    run, bucket, source = blocks["run"][chosen], bucket[chosen], blocks["source"][chosen]
    groups = Groups.by(run, bucket, source)
    low, high = blocks["low"][chosen], blocks["high"][chosen]
    wanted = {
        "lowest": (groups.first(low == np.repeat(groups.least(low), groups.sizes)), low),
        "highest": (groups.first(high == np.repeat(groups.greatest(high), groups.sizes)), high),
        "early": (groups.first(blocks["early"][chosen] >= 0), blocks["opening"][chosen]),
        "late": (groups.last(blocks["late"][chosen] >= 0), blocks["closing"][chosen]),
    } | {
        name: (groups.first(blocks[name][chosen] >= 0), np.full(len(chosen), value))
        for name, value in (("lost", np.nan), ("up", np.inf), ("down", -np.inf))
    }
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("source", "number", "bucket", "value")}
    for name, (at, value) in wanted.items():
        at = at[at >= 0]
        for part, column in zip(parts, (source, blocks[name][chosen], bucket, value), strict=True):
            parts[part].append(column[at])
    columns = {name: np.concatenate(each) for name, each in parts.items()}
    order = np.lexsort((columns["number"], columns["source"]))
    columns = {name: column[order] for name, column in columns.items()}
    once = Groups.by(columns["source"], columns["number"]).starts
    return {name: column[once] for name, column in columns.items()}
