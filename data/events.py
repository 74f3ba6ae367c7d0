"""Moments within runs: the step at which a metric passes a threshold, and x counted from an event."""

from collections.abc import Mapping
from typing import Literal

import pandas as pd
import pyarrow as pa

from data.columns import quoted
from data.view import View

Events = Mapping[int, int]
"""The step of the event, by run. A run without the event is not in it."""
Direction = Literal["above", "below"]


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
    # DuckDB takes NaN for the largest number there is.
    found = view.frame(
        f"""WITH points AS (
            SELECT run, step, NOT isnan(value) AND value {sign} $threshold AS beyond FROM (
                SELECT run, step, {quoted(metric)}::DOUBLE AS value
                FROM {view.rows([metric])} WHERE {quoted(metric)} IS NOT NULL)
        ), ahead AS (
            SELECT run, step, count(*) FILTER (beyond) OVER (
                PARTITION BY run ORDER BY step ROWS BETWEEN CURRENT ROW AND {patience - 1} FOLLOWING) AS stays
            FROM points
        ), first AS (SELECT run, min(step) AS step FROM ahead WHERE stays = {patience} GROUP BY run)
        SELECT arm, seed, run, step FROM chosen LEFT JOIN first USING (run) ORDER BY arm, seed""",
        threshold=threshold,
    )
    return found.astype({"step": "Int64"})


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
