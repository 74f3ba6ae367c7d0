"""Rows of many runs as arrays and tables: frames, matrices of metrics, and what a run ended with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.columns import quoted
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
        parts.append(
            f"""SELECT run, {place} AS place, $metric{place} AS metric, avg(value) AS value, count(*) AS n
            FROM (
                SELECT run, {quoted(metric)}::DOUBLE AS value, count(*) OVER (PARTITION BY run) AS n,
                    row_number() OVER (PARTITION BY run ORDER BY step DESC) AS back
                FROM {view.rows([metric])} WHERE {quoted(metric)} IS NOT NULL)
            WHERE back <= greatest(1, ceil($share * n - 1e-9)) GROUP BY run"""
        )
    return view.frame(
        f"SELECT arm, seed, run, metric, value, n FROM ({' UNION ALL '.join(parts)}) JOIN chosen USING (run) "
        "ORDER BY arm, seed, place",
        share=share,
        **given,
    )


def _require_different(metrics: Sequence[str]) -> None:
    if not metrics or len({metric.lower() for metric in metrics}) < len(metrics):
        raise ValueError(f"`metrics` must be one or more different names; got {list(metrics)}.")
