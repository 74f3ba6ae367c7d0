"""Bands over seeds: quantiles, mean and extremes of every arm along an axis."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from data.events import Events
from data.summaries import Groups
from data.summarized import Blocks, read_blocks
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
    infinite. Where some run has at least `points` / 2 blocks of steps (`data.summaries`), cells are made of
    whole blocks: over steps of equally many, else of those whose largest x lies in the cell, measured there
    or not, which names the cell.

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
    if events is None:
        blocks = read_blocks(view, metric, x, first, last, max(points // 2, 2), wide=True)
        if blocks is not None:
            return _from_blocks(view, x, blocks, points)
    # Once, not for every query below.
    source = "inside"
    inside = f"SELECT run, step, x, value FROM {measured(view, metric, x, events)} WHERE {bounds}"
    view.run(f"CREATE OR REPLACE TEMP TABLE inside AS {inside}", **given)
    given = {}
    size = view.select(
        f"SELECT count(DISTINCT x) AS places, min(x) AS low, max(x) AS high, "
        f"max(abs(value)) FILTER (isfinite(value)) AS peak FROM {source}",
        **given,
    ).to_pylist()[0]
    if not size["places"]:
        return _nothing()
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
    return view.frame(_spread(values), scale=_scale(size["peak"]), **given)


def _scale(peak: float | None) -> float:
    """Return what values are divided by while they are squared.

    Squares of float64 values beyond 1e154 overflow: a power of two, which is exact, takes them down and back
    up.
    """
    return 2.0 ** math.floor(math.log2(peak)) if peak is not None and peak > 1e100 else 1.0


def _from_blocks(view: View, x: Axis, blocks: Blocks, points: int) -> pd.DataFrame:
    """Return the spread over cells of whole blocks; no row is read but at the ends of the range."""
    high, n = blocks["x_high"], len(blocks["run"])
    if not n:
        return _nothing()
    if x == "step":
        first = int(blocks["block"].min())
        cell = (blocks["block"] - first) // (-((first - 1 - int(blocks["block"].max())) // points))
    else:
        longest = int(np.add.reduceat(blocks["n"], Groups.by(blocks["run"]).starts).max())
        cells = max(min(points, longest if x == "seconds" else points) - 1, 1)
        low = float(blocks["x_low"].min())
        cell = np.ceil((high - low) * cells / ((float(high.max()) - low) or 1.0))
    extremes = np.concatenate([blocks["low"], blocks["high"]])
    finite = np.abs(extremes[np.isfinite(extremes)])
    lost = (blocks["lost"] >= 0) | (blocks["up"] >= 0) | (blocks["down"] >= 0)
    nan = {"low": np.inf, "high": -np.inf}
    known = {name: np.where(np.isnan(blocks[name]), nan[name], blocks[name]) for name in nan}
    columns = {"run": blocks["run"], "place": np.arange(n), "cell": cell, "x": high, "lost": lost}
    view.cursor.register("inside", pa.table(columns | {"value": blocks["final"]} | known))
    values = """(
    SELECT run, cell, max(x) AS x, arg_max(value, place) AS value, min(low) AS low, max(high) AS high,
        bool_or(lost) AS lost
    FROM inside GROUP BY run, cell)"""
    return view.frame(_spread(values), scale=_scale(finite.max() if finite.size else None))


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype="str" if name == "arm" else "float64") for name in _COLUMNS})


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
