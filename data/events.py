"""Moments within runs: the step at which a metric passes a threshold, and x counted from an event."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from data.columns import quoted
from data.summaries import Groups
from data.summarized import LONG, Blocks, block_rows, read_blocks
from data.view import View

Events = Mapping[int, int]
"""The step of the event, by run. A run without the event is not in it."""
Direction = Literal["above", "below"]
_SOON = 8
"""Blocks in which a crossing is looked for before all rows are."""


def crossings(
    view: View, metric: str, threshold: float, direction: Direction = "above", patience: int = 1
) -> pd.DataFrame:
    """Return the first step of every run from which a metric is beyond a threshold and stays there.

    Every measured point is looked at; NaN is not beyond anything.

    Args:
        view: the runs.
        metric: a metric of the study.
        threshold: a value equal to it has reached it.
        direction: "above" for accuracies, "below" for losses.
        patience: how many measured points in a row must be beyond it, the first included. A run that ends
            before is not seen to stay.

    Returns:
        arm, seed, run, step (missing where a run never gets there); every run once, ordered by arm, seed.

    Raises:
        ValueError: an unknown direction, or `patience` below 1.
        LabError: an unknown metric.
    """
    if direction not in ("above", "below"):
        raise ValueError(f"`direction` must be above or below; got {direction!r}.")
    if patience < 1:
        raise ValueError(f"`patience` must be at least 1; got {patience}.")
    sign = ">=" if direction == "above" else "<="

    def search(points: str) -> pa.Table:
        # DuckDB takes NaN for the largest number there is.
        return view.select(
            f"""WITH points AS (
                SELECT run, step, NOT isnan(value) AND value {sign} $threshold AS beyond
                FROM ({points}) WHERE value IS NOT NULL
            ), ahead AS (
                SELECT run, step, count(*) FILTER (beyond) OVER (PARTITION BY run ORDER BY step
                    ROWS BETWEEN CURRENT ROW AND {patience - 1} FOLLOWING) AS stays
                FROM points
            ) SELECT run, min(step) AS step FROM ahead WHERE stays = {patience} GROUP BY run""",
            threshold=threshold,
        )

    blocks = read_blocks(view, metric, "step", None, None, LONG) if math.isfinite(threshold) else None
    if blocks is None:
        found = search(f"SELECT run, step, {quoted(metric)}::DOUBLE AS value FROM {view.rows([metric])}")
    else:
        found = _settled(view, blocks, metric, threshold, direction, search)
    view.cursor.register("found", found)
    crossed = view.frame(
        "SELECT arm, seed, run, step FROM chosen LEFT JOIN found USING (run) ORDER BY arm, seed"
    )
    return crossed.astype({"step": "Int64"})


def _settled(
    view: View,
    blocks: Blocks,
    metric: str,
    threshold: float,
    direction: Direction,
    search: Callable[[str], pa.Table],
) -> pa.Table:
    """Search from the first block of each run on that has a point beyond the threshold.

    Where few blocks do not settle it, as in a metric that hovers about the threshold, all rows are read.
    """
    if direction == "above":
        some = (blocks["high"] >= threshold) | (blocks["up"] >= 0)
    else:
        some = (blocks["low"] <= threshold) | (blocks["down"] >= 0)
    runs = Groups.by(blocks["run"])
    first, end = runs.first(some), runs.starts + runs.sizes
    searched = [pa.table({"run": pa.array([], pa.int32()), "step": pa.array([], pa.int64())})]
    left = np.flatnonzero(first >= 0)
    if len(left):
        reach = np.minimum(first[left] + _SOON, end[left])
        chosen = np.concatenate([np.arange(*ends) for ends in zip(first[left], reach, strict=True)])
        view.cursor.register("near", block_rows(view, blocks, metric, chosen))
        searched.append(search("SELECT run, step, value FROM near"))
        there = np.isin(blocks["run"][first[left]], searched[-1]["run"].to_numpy())
        left = left[~there & (reach < end[left])]
    if len(left):
        begins = blocks["first"][first[left]]
        runs_left = pa.table({"run": blocks["run"][first[left]], "begin": begins})
        view.cursor.register("later", runs_left)
        searched.append(
            search(
                f"SELECT run, step, {quoted(metric)}::DOUBLE AS value FROM {view.rows([metric])} "
                f"JOIN later USING (run) WHERE step >= {begins.min()} AND step >= begin"
            )
        )
    return pa.concat_tables(searched, promote_options="permissive")


def aligned(view: View, source: str, place: str, events: Events) -> str:
    """Return SQL for the points of `source` with x counted from each run's event; other runs are left out.

    Over epochs or seconds the event is at the place of the last row that is not after it.

    Args:
        view: the runs.
        source: SQL of points with run and x.
        place: SQL of the axis.
        events: the step of the event, by run.
    """
    runs = pa.array(list(events), pa.int32())
    view.cursor.register("events", pa.table({"run": runs, "event": pa.array(events.values(), pa.int64())}))
    moments = (
        f"SELECT run, arg_max({place}, step) AS moment FROM {view.rows(())} JOIN events USING (run) "
        f"WHERE step <= event AND isfinite({place}) GROUP BY run"
    )
    if place == f"{quoted('step')}::DOUBLE":
        moments = "SELECT run, event::DOUBLE AS moment FROM events"
    return (
        f"(SELECT points.* EXCLUDE (moment) REPLACE (x - moment AS x) "
        f"FROM (SELECT * FROM {source} JOIN ({moments}) USING (run)) AS points)"
    )
