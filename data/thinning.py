"""Thins traces for the screen without losing a spike, a gap's edge or a value that is not finite."""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.columns import quoted
from data.events import Events, aligned
from data.summaries import BLOCK, Groups
from data.summarized import PLACES, Blocks, read_blocks, read_rows
from data.view import View, between

Axis = Literal["step", "epoch", "seconds"]
_BLOCKS_IN_A_BUCKET = 4
"""From so many on, a bucket is made of whole blocks: its ends are then off by less than a quarter."""


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
    into points / 4 buckets of even width, the same for all runs, and each bucket keeps its first, last,
    smallest and largest finite point (of equal ones the earliest) and the first NaN, +Inf and -Inf. Where
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
        blocks = read_blocks(view, metric, x, first, last, _BLOCKS_IN_A_BUCKET * (points // 4))
        if blocks is not None:
            return _from_blocks(view, metric, x, blocks, source, first, last, points)
    if window > 1:
        source = f"(SELECT * REPLACE ({_moving_mean(window)} AS value) FROM {source})"
    bounds, given = between("x", first, last)
    # Once, not for every query below.
    view.run(f"CREATE OR REPLACE TEMP TABLE inside AS SELECT * FROM {source} WHERE {bounds}", **given)
    source, given = "inside", {}
    counts = view.select(f"SELECT count(*) AS n, min(x) AS low, max(x) AS high FROM {source} GROUP BY run")
    sizes = counts["n"].to_pylist()
    total = sum(sizes)
    if max(sizes, default=0) > points:
        low, high = min(counts["low"].to_pylist()), max(counts["high"].to_pylist())
        given |= {"low": low, "width": (high - low) or 1.0, "buckets": points // 4, "points": points}
        bucket = "least(floor((x - $low) * $buckets / $width), $buckets - 1)::INTEGER"
        source = _thinned(
            f"SELECT *, {bucket} AS bucket FROM {source}",
            "SELECT run FROM placed GROUP BY run HAVING count(*) > $points",
        )
    return _drawn(view, source, total, **given)


def _drawn(view: View, source: str, total: int, **given: float) -> Thinned:
    frame = view.frame(
        f'SELECT arm, seed, run, step, epoch, "seconds", x, value, {_KIND} AS kind '
        f"FROM {source} JOIN chosen USING (run) ORDER BY arm, seed, step",
        **given,
    )
    return Thinned(frame, len(frame), total)


def _moving_mean(window: int) -> str:
    before, after = (window - 1) // 2, window // 2
    mean = (
        "avg(value) FILTER (isfinite(value)) OVER "
        f"(PARTITION BY run ORDER BY step ROWS BETWEEN {before} PRECEDING AND {after} FOLLOWING)"
    )
    return f"CASE WHEN isfinite(value) THEN {mean} ELSE value END"


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
    low, high = float(blocks["x_low"].min()), float(blocks["x_high"].max())
    buckets = points // 4
    bucket = np.floor((blocks["x_low"] - low) * buckets / ((high - low) or 1.0)).clip(max=buckets - 1)
    runs = Groups.by(blocks["run"])
    sizes = np.add.reduceat(blocks["n"], runs.starts)
    long = sizes > points
    view.cursor.register("long", pa.table({"run": blocks["run"][runs.starts][long]}))
    candidates = _candidates(blocks, bucket, np.flatnonzero(long[runs.of]))
    rows = read_rows(view, blocks.sources, metric, *candidates)
    edges = {"run": blocks["run"], "block": blocks["block"], "bucket": bucket.astype(np.int32)}
    view.cursor.register("buckets", pa.table(edges))
    view.cursor.register("candidates", rows)
    bounds, given = between("x", first, last)
    kept = _thinned(
        f"SELECT DISTINCT candidates.*, {quoted(x)}::DOUBLE AS x, bucket FROM candidates JOIN buckets "
        f"ON candidates.run = buckets.run AND block = floor(step / {BLOCK})",
        "FROM long",
    )
    whole = ""
    if not long.all():
        short = f"SELECT * FROM {source} WHERE run NOT IN (FROM long) AND {bounds}"
        whole = f" UNION ALL BY NAME {short}"
    else:
        given = {}
    return _drawn(view, f"(FROM {kept}{whole})", int(sizes.sum()), **given)


def _candidates(
    blocks: Blocks, bucket: npt.NDArray[np.float64], chosen: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return source and number of the rows that may be kept of the chosen blocks, by stretch of a bucket."""
    run, bucket, source = blocks["run"][chosen], bucket[chosen], blocks["source"][chosen]
    groups = Groups.by(run, bucket, source)
    low, high = blocks["low"][chosen], blocks["high"][chosen]
    wanted = {
        "lowest": groups.first(low == np.repeat(groups.least(low), groups.sizes)),
        "highest": groups.first(high == np.repeat(groups.greatest(high), groups.sizes)),
        "early": groups.first(blocks["early"][chosen] >= 0),
        "late": groups.last(blocks["late"][chosen] >= 0),
    } | {name: groups.first(blocks[name][chosen] >= 0) for name in ("lost", "up", "down")}
    rows, sources = [], []
    for name in PLACES:
        at = wanted[name][wanted[name] >= 0]
        rows.append(blocks[name][chosen][at])
        sources.append(source[at])
    return np.concatenate(sources), np.concatenate(rows)


def _thinned(placed: str, long: str) -> str:
    """Return SQL for the points that are kept, of those of `placed` in their `bucket` and the runs of `long`.

    The extremes are found by value first and by step after (two passes, 0.14 s for 2 million rows): arg_min
    may return any of several equal points, and the same query must give the same picture.
    """
    return f"""(
    WITH placed AS MATERIALIZED (
        {placed}
    ), long AS ({long}
    ), ends AS MATERIALIZED (
        SELECT run, bucket,
            min(step) FILTER (isfinite(value)) AS early, max(step) FILTER (isfinite(value)) AS late,
            min(value) FILTER (isfinite(value)) AS low, max(value) FILTER (isfinite(value)) AS high,
            min(step) FILTER (isnan(value)) AS lost,
            min(step) FILTER (value = 'inf'::DOUBLE) AS up, min(step) FILTER (value = '-inf'::DOUBLE) AS down
        FROM placed WHERE run IN (SELECT run FROM long) GROUP BY run, bucket
    ), extremes AS (
        SELECT run, bucket,
            min(step) FILTER (value = ends.low) AS lowest, min(step) FILTER (value = ends.high) AS highest
        FROM placed JOIN ends USING (run, bucket)
        WHERE value = ends.low OR value = ends.high GROUP BY run, bucket
    ), kept AS (
        SELECT DISTINCT run, unnest([early, late, lost, up, down]) AS step FROM ends
        UNION SELECT run, unnest([lowest, highest]) FROM extremes
    )
    SELECT run, step, epoch, "seconds", x, value FROM placed
    WHERE run NOT IN (SELECT run FROM long)
        OR (run, step) IN (SELECT (run, step) FROM kept WHERE step IS NOT NULL))"""
