"""Bands over seeds: quantiles, mean and extremes of every arm along an axis."""

import math

import pandas as pd

from data.events import Events
from data.thinning import Axis, measured
from data.view import View, between

_COLUMNS = (
    "arm", "x", "n", "n_nonfinite", "n_runs", "median", "q05", "q25", "q75", "q95", "mean", "sd", "low",
    "high"
)  # fmt: skip


def bands(
    view: View,
    metric: str,
    x: Axis = "step",
    first: float | None = None,
    last: float | None = None,
    points: int = 400,
    events: Events | None = None,
) -> pd.DataFrame:
    """Return the spread of a metric over the runs of each arm.

    With at most `points` different x (steps or epochs), each x is one row and its numbers are those of the
    runs measured there. With more, and always over seconds (no two jobs share a clock), the range of x is
    cut into cells of even width: the first cell is the first x alone, and each further cell is open on the
    left, closed on the right and named by the largest x measured in it. A run enters a cell once, with its
    last measured value there; `low` and `high` are over every finite value of the cell, so that no spike is
    lost between two rows, and a run counts in `n_nonfinite` when any of its values in the cell is NaN or
    infinite.

    With `events`, x is counted from the event of each run, which need not be on another run's grid: cells
    are then centred on 0 and its multiples of the typical distance between two points of a run, wider where
    that would make more than `points` of them, and named by their centre.

    Args:
        view: the runs; every one of an arm counts.
        metric: a metric of the study.
        x: the axis.
        first: smallest x to keep, in units of `x`.
        last: largest x to keep.
        points: how many rows an arm may have at most; at least 2.
        events: the step, by run, from which x is counted; runs without one are in no row but in `n_runs`.

    Returns:
        arm, x, n (runs with a finite value), n_nonfinite, n_runs (runs of the arm, measured there or not),
        median, q05, q25, q75, q95 (linear interpolation), mean, sd (n - 1), low, high; ordered by arm, x.
        The statistics are over finite values and NaN where there are too few.

    Raises:
        ValueError: `points` below 2 or an unknown `x`.
        LabError: an unknown metric.
    """
    if points < 2:
        raise ValueError(f"`points` must be at least 2; got {points}.")
    bounds, given = between("x", first, last)
    source = f"(SELECT * FROM {measured(view, metric, x, events)} WHERE {bounds})"
    size = view.select(
        f"SELECT count(DISTINCT x) AS places, min(x) AS low, max(x) AS high, "
        f"max(abs(value)) FILTER (isfinite(value)) AS peak FROM {source}",
        **given,
    ).to_pylist()[0]
    if not size["places"]:
        return pd.DataFrame(
            {name: pd.Series(dtype="str" if name == "arm" else "float64") for name in _COLUMNS}
        )
    # Squares of float64 values beyond 1e154 overflow: a power of two, which is exact, takes them down and
    # back up.
    scale = 2.0 ** math.floor(math.log2(size["peak"])) if (size["peak"] or 0.0) > 1e100 else 1.0
    if events is not None:
        given["width"] = max(_gap(view, source, given), (size["high"] - size["low"]) / (points - 1)) or 1.0
        values = _centred(source)
    elif x == "seconds" or size["places"] > points:
        longest = _longest(view, source, given) if x == "seconds" else points
        cells = max(min(points, longest) - 1, 1)
        given |= {"low": size["low"], "width": (size["high"] - size["low"]) or 1.0, "cells": cells}
        values = _cells(source)
    else:
        alone = "run, x AS cell, x, value, value AS low, value AS high, NOT isfinite(value) AS lost"
        values = f"(SELECT {alone} FROM {source})"
    return view.frame(_spread(values), scale=scale, **given)


def _longest(view: View, source: str, given: dict[str, float]) -> int:
    counts = view.select(
        f"SELECT max(n) AS n FROM (SELECT count(*) AS n FROM {source} GROUP BY run)", **given
    )
    return int(counts["n"][0].as_py())


def _gap(view: View, source: str, given: dict[str, float]) -> float:
    """Return the typical distance between two points of a run: the median over runs of its mean distance."""
    gaps = view.select(
        f"SELECT median(gap) AS gap FROM (SELECT (max(x) - min(x)) / (count(*) - 1) AS gap "
        f"FROM {source} GROUP BY run HAVING count(*) > 1)",
        **given,
    )
    return float(gaps["gap"][0].as_py() or 0.0)


def _cells(source: str) -> str:
    return _gathered(source, "ceil((x - $low) * $cells / $width)", "max(x)")


def _centred(source: str) -> str:
    return _gathered(source, "round(x / $width)", "any_value(round(x / $width)) * $width")


def _gathered(source: str, cell: str, x: str) -> str:
    return f"""(
    SELECT run, {cell} AS cell, {x} AS x, arg_max(value, step) AS value,
        min(value) FILTER (isfinite(value)) AS low, max(value) FILTER (isfinite(value)) AS high,
        bool_or(NOT isfinite(value)) AS lost
    FROM {source} GROUP BY run, cell)"""


def _spread(values: str) -> str:
    return f"""
    WITH entered AS MATERIALIZED (
        SELECT arm, run, cell, x, lost, low, high, CASE WHEN isfinite(value) THEN value / $scale END AS value
        FROM {values} JOIN chosen USING (run)
    ), places AS (SELECT cell, max(x) AS x FROM entered GROUP BY cell),
    sizes AS (SELECT arm, count(*) AS n_runs FROM chosen GROUP BY arm),
    spread AS (
        SELECT arm, cell, count(value) AS n, count(*) FILTER (lost) AS n_nonfinite,
            quantile_cont(value, [0.5, 0.05, 0.25, 0.75, 0.95]) AS q, avg(value) AS mean, stddev_samp(value)
            AS sd, min(low) FILTER (isfinite(low)) AS low, max(high) FILTER (isfinite(high)) AS high
        FROM entered GROUP BY arm, cell
    )
    SELECT arm, places.x AS x, n, n_nonfinite, n_runs, q[1] * $scale AS median, q[2] * $scale AS q05,
        q[3] * $scale AS q25, q[4] * $scale AS q75, q[5] * $scale AS q95, mean * $scale AS mean, sd * $scale
        AS sd, low, high
    FROM spread JOIN places USING (cell) JOIN sizes USING (arm) ORDER BY arm, x"""
