"""Rows of many runs as arrays and tables: frames, matrices of metrics, and what a run ended with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from data.columns import quoted
from data.summaries import Groups
from data.summarized import LONG, Blocks, block_rows, read_blocks, read_rows
from data.view import View, between


class RunMatrix(NamedTuple):
    """Metrics of one run side by side: `steps` [steps] and `values` [steps, metrics] in float64."""

    run: int
    arm: str
    seed: int
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def table(view: View, metrics: Sequence[str], first: int | None = None, last: int | None = None) -> pa.Table:
    """Return arm, seed, run, step, epoch, seconds and metrics where any of these is measured.

    Args:
        view: the runs.
        metrics: metrics of the study, at least one.
        first: first step to keep.
        last: last step to keep.

    Returns:
        An Arrow table ordered by arm, seed, step, in which NULL (not measured) differs from NaN.

    Raises:
        ValueError: no metric, or one twice.
        LabError: an unknown metric.
    """
    _require_different(metrics)
    bounds, given = between("step", first, last)
    any_measured = " OR ".join(f"{quoted(metric)} IS NOT NULL" for metric in metrics)
    columns = ", ".join(f"{quoted(metric)}::DOUBLE AS {quoted(metric)}" for metric in metrics)
    return view.select(
        f'SELECT arm, seed, run, step, epoch, "seconds", {columns} '
        f"FROM {view.rows(metrics)} JOIN chosen USING (run) "
        f"WHERE ({any_measured}) AND {bounds} ORDER BY arm, seed, step",
        **given,
    )


def matrices(view: View, metrics: Sequence[str], max_steps: int = 1000) -> list[RunMatrix]:
    """Return, for each run, the rows at which all metrics are measured (NaN is a measured value).

    A run with n > `max_steps` such rows is thinned to those numbered round(k (n - 1) / (max_steps - 1)) for
    k from 0 to max_steps - 1 (half away from zero): an even grid with the first and the last row on it.

    Args:
        view: the runs.
        metrics: metrics of the study, at least one.
        max_steps: how many rows a run may have; at least 2.

    Returns:
        One matrix for each run that has a row, ordered by arm, seed.

    Raises:
        ValueError: no metric, one twice, or `max_steps` below 2.
        LabError: an unknown metric.
    """
    _require_different(metrics)
    if max_steps < 2:
        raise ValueError(f"`max_steps` must be at least 2; got {max_steps}.")
    complete = " AND ".join(f"{quoted(metric)} IS NOT NULL" for metric in metrics)
    columns = ", ".join(f"{quoted(metric)}::DOUBLE AS {quoted(metric)}" for metric in metrics)
    names = ", ".join(quoted(metric) for metric in metrics)
    gaps = max_steps - 1
    found = _on_grid(view, metrics, max_steps)
    if found is None:
        found = view.select(
            f"""WITH numbered AS (
            SELECT run, step, {columns}, row_number() OVER (PARTITION BY run ORDER BY step) - 1 AS i,
                count(*) OVER (PARTITION BY run) AS n
            FROM {view.rows(metrics)} WHERE {complete})
        SELECT arm, seed, run, step, {names} FROM numbered JOIN chosen USING (run)
        WHERE n <= $most OR round(round(i * $gaps / (n - 1)) * (n - 1) / $gaps) = i
        ORDER BY arm, seed, step""",
            most=max_steps,
            gaps=gaps,
        )
    runs = found["run"].to_numpy()
    steps = found["step"].to_numpy()
    values = np.empty((len(runs), len(metrics)))
    for place, metric in enumerate(metrics):
        values[:, place] = found[metric].to_numpy()
    cuts = np.flatnonzero(np.diff(runs)) + 1
    who = {run: (arm, seed) for run, arm, seed in view.runs}
    return [
        RunMatrix(int(run[0]), *who[int(run[0])], at, block)
        for run, at, block in zip(
            np.split(runs, cuts), np.split(steps, cuts), np.split(values, cuts), strict=True
        )
        if run.size
    ]


def _on_grid(view: View, metrics: Sequence[str], max_steps: int) -> pa.Table | None:
    """Return the rows of the matrices by what the blocks say; None unless they all measure all metrics."""
    taken = [read_blocks(view, metric, "step", None, None, LONG) for metric in metrics]
    blocks = taken[0]
    if blocks is None or any(each is None or not _same_rows(blocks, each) for each in taken):
        return None
    ahead = np.cumsum(blocks["n"]) - blocks["n"]
    runs = Groups.by(blocks["run"])
    wanted = []
    for begin, n in zip(ahead[runs.starts].tolist(), np.add.reduceat(blocks["n"], runs.starts), strict=True):
        even = np.floor(np.arange(max_steps) * (n - 1) / (max_steps - 1) + 0.5).astype(np.int64)
        wanted.append(begin + (even if n > max_steps else np.arange(n)))
    rows = np.concatenate(wanted)
    block = np.searchsorted(ahead, rows, side="right") - 1
    numbers = blocks["place"][block] + rows - ahead[block]
    order = [("run", "ascending"), ("step", "ascending")]
    columns: dict[str, pa.ChunkedArray] = {}
    for metric, each in zip(metrics, taken, strict=True):
        if each is not None:
            found = read_rows(view, each.sources, metric, each["source"][block], numbers).sort_by(order)
            columns |= {"run": found["run"], "step": found["step"], metric: found["value"]}
    view.cursor.register("grid", pa.table(columns))
    names = ", ".join(quoted(metric) for metric in metrics)
    return view.select(
        f"SELECT arm, seed, run, step, {names} FROM grid JOIN chosen USING (run) ORDER BY arm, seed, step"
    )


def _same_rows(one: Blocks, other: Blocks) -> bool:
    """Return whether two metrics are measured in every row of the same blocks."""
    names = [[each for each in blocks.sources if isinstance(each, str)] for blocks in (one, other)]
    return (
        names[0] == names[1]
        and all(
            np.array_equal(one[name], other[name]) for name in ("run", "first", "last", "source", "place")
        )
        and np.array_equal(other["n"], other["rows"])
    )


def final_means(view: View, metrics: Sequence[str], share: float = 0.1) -> pd.DataFrame:
    """Return the mean of the last measured points of every run and metric.

    Args:
        view: the runs.
        metrics: metrics of the study, at least one.
        share: share of a run's n measured points that counts: the last ceil(share n), at least one.

    Returns:
        arm, seed, run, metric, value (NaN or infinite when one of the points is), n (points averaged);
        ordered by arm, seed and the order of `metrics`. A metric never measured in a run has no row.

    Raises:
        ValueError: no metric, one twice, or `share` not in (0, 1].
        LabError: an unknown metric.
    """
    _require_different(metrics)
    if not 0 < share <= 1:
        raise ValueError(f"`share` must be in (0, 1]; got {share}.")
    parts = []
    given: dict[str, str] = {}
    for place, metric in enumerate(metrics):
        given[f"metric{place}"] = metric
        blocks = read_blocks(view, metric, "step", None, None, LONG)
        if blocks is not None:
            begins = _last_steps(view, blocks, metric, share)
            view.cursor.register(f"begins{place}", begins)
            parts.append(
                f"""SELECT run, {place} AS place, $metric{place} AS metric,
                    avg({quoted(metric)}::DOUBLE) AS value, count(*) AS n
                FROM {view.rows([metric])} JOIN begins{place} USING (run)
                WHERE step >= {pc.min(begins["begin"]).as_py()} AND step >= begin
                    AND {quoted(metric)} IS NOT NULL GROUP BY run"""
            )
            continue
        parts.append(
            f"""SELECT run, {place} AS place, $metric{place} AS metric, avg(value) AS value, count(*) AS n
            FROM (
                SELECT run, {quoted(metric)}::DOUBLE AS value, count(*) OVER (PARTITION BY run) AS n,
                    row_number() OVER (PARTITION BY run ORDER BY step DESC) AS back
                FROM {view.rows([metric])} WHERE {quoted(metric)} IS NOT NULL)
            WHERE back <= greatest(1, ceil({share!r} * n - 1e-9)) GROUP BY run"""
        )
    return view.frame(
        f"SELECT arm, seed, run, metric, value, n FROM ({' UNION ALL '.join(parts)}) JOIN chosen USING (run) "
        "ORDER BY arm, seed, place",
        **given,
    )


def _last_steps(view: View, blocks: Blocks, metric: str, share: float) -> pa.Table:
    """Return by run the step from which on its last ceil(share n) measured points, at least one, lie."""
    runs = Groups.by(blocks["run"])
    sizes = np.add.reduceat(blocks["n"], runs.starts)
    wanted = np.maximum(1, np.ceil(share * sizes - 1e-9)).astype(np.int64)
    # How many points lie from each block on to the end of its run, and the last block with enough of them.
    ahead = np.cumsum(blocks["n"]) - blocks["n"]
    left = (ahead[runs.starts] + sizes)[runs.of] - ahead
    cut = runs.last(left >= wanted[runs.of])
    rows = block_rows(view, blocks, metric, cut)
    rows = rows.filter(pc.is_valid(rows["value"]))
    starts = Groups.by(rows["run"].to_numpy()).starts
    begin = rows["step"].to_numpy()[starts + (left[cut] - wanted)]
    return pa.table({"run": blocks["run"][runs.starts], "begin": begin})


def _require_different(metrics: Sequence[str]) -> None:
    if not metrics or len({metric.lower() for metric in metrics}) < len(metrics):
        raise ValueError(f"`metrics` must be one or more different names; got {list(metrics)}.")
