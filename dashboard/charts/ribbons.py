"""A ribbon of latent states for each seed under the loss, on one axis; pale where the model is unsure."""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, state_colour, state_name

_CERTAINTY = (0.5, 0.7, 0.9)
_HEIGHT, _LEAST_HEIGHT, _MOST_HEIGHT = 17.0, 5.0, 620.0
"""Of a ribbon with its gap, as it is and at the least; and of all of them before they get lower."""


Traced = tuple[np.ndarray, np.ndarray, np.ndarray, str, int]
"""A run: optimizer steps, increasing; states; posterior probability of the state on the path; arm; seed."""
_COLUMNS = ("arm", "seed", "start", "end", "state", "confidence")


def stretches(
    steps: np.ndarray,
    path: np.ndarray,
    confidence: np.ndarray,
    arm: str,
    seed: int,
    cell: int | None = None,
) -> pd.DataFrame:
    """Return a run's path as stretches: see :func:`stretches_of`."""
    return stretches_of([(steps, path, confidence, arm, seed)], cell)


def stretches_of(runs: Sequence[Traced], cell: int | None = None) -> pd.DataFrame:
    """Return the paths of runs as stretches of one state and one band of certainty (parted at 0.5, 0.7, 0.9).

    The columns are arm, seed, start, end, state, confidence.

    Args:
        runs: those that are drawn.
        cell: steps that are told as one, by the state that most of their points are in and the mean
            confidence of those; None for every point by itself.
    """
    parts = [_stretched(*run, cell) for run in runs if len(run[0])]
    if not parts:
        return pd.DataFrame({name: [] for name in _COLUMNS})
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    frame = pd.DataFrame(dict(zip(_COLUMNS, columns, strict=True)))
    names = np.array([state_name(state) for state in range(int(frame["state"].max()) + 1)], dtype=object)
    return frame.assign(state=names[frame["state"].to_numpy(int)])


def _stretched(
    steps: np.ndarray,
    path: np.ndarray,
    confidence: np.ndarray,
    arm: str,
    seed: int,
    cell: int | None,
) -> tuple[np.ndarray, ...]:
    widths = np.diff(steps)
    last = steps[-1] + (int(np.median(widths)) if len(widths) else 1)
    if cell is not None:
        steps, path, confidence = _by_cell(steps, path, confidence, cell)
    band = np.digitize(confidence, _CERTAINTY)
    begins = np.flatnonzero(np.r_[True, (np.diff(path) != 0) | (np.diff(band) != 0)])
    sizes = np.diff(np.r_[begins, len(path)])
    return (
        np.full(len(begins), arm, dtype=object),
        np.full(len(begins), seed),
        steps[begins],
        np.r_[steps[begins[1:]], last],
        path[begins],
        np.add.reduceat(confidence.astype(float), begins) / sizes,
    )


def _by_cell(
    steps: np.ndarray, path: np.ndarray, confidence: np.ndarray, cell: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return first step, commonest state (of equal ones the lower) and its mean confidence, cell by cell."""
    _, first, place = np.unique((steps - steps[0]) // cell, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), int(path.max()) + 1))
    sums = np.zeros_like(counts)
    np.add.at(counts, (place, path), 1.0)
    np.add.at(sums, (place, path), confidence)
    common = counts.argmax(axis=1)
    cells = np.arange(len(first))
    return steps[first], common, sums[cells, common] / counts[cells, common]


def shade() -> alt.Opacity:
    """Return the opacity of a stretch: paler where the probability of its state is lower."""
    scale = alt.Scale(domain=[0.4, 1.0], range=[0.15, 1.0], clamp=True)
    return alt.Opacity("confidence:Q", legend=None, scale=scale)


def told() -> list[alt.Tooltip]:
    """Return what a stretch says of itself."""
    return [
        alt.Tooltip("state:N"),
        alt.Tooltip("start:Q", title="from step", format=","),
        alt.Tooltip("end:Q", title="to step", format=","),
        alt.Tooltip("confidence:Q", format=".2f"),
    ]


def row_axis(labels: Sequence[str], **more: Any) -> alt.Axis:
    """Return an axis with a label in the middle of each ribbon."""
    return alt.Axis(
        values=[row + 0.42 for row in range(len(labels))],
        labelExpr=f"{json.dumps(list(labels))}[floor(datum.value)]",
        labelOverlap="greedy",
        ticks=False,
        domain=False,
        grid=False,
        **more,
    )


def chart(
    ribbons: pd.DataFrame,
    loss: pd.DataFrame,
    rows: Sequence[str],
    n_states: int,
    y_title: str,
    log: bool,
    ends: pd.DataFrame | None = None,
    domain: tuple[float, float] | None = None,
) -> alt.LayerChart:
    """Return the figure for one arm: the loss in the upper part of the plot, the ribbons in the lower.

    It is one plot with two vertical scales, not two plots, so that it takes the width of its container.

    Args:
        ribbons: row, start, end, state, confidence; `row` names the seed.
        loss: row, x, value: the metric of the same runs.
        rows: the rows from top to bottom.
        n_states: how many states the model has, which fixes the colours.
        y_title: of the metric above.
        log: whether the metric is drawn on a log axis.
        ends: row, x: where runs converged, marked on their ribbons.
        domain: first and last step of the axis, for several figures on one; None for those of the rows.
    """
    kept = loss[np.isfinite(loss["value"]) & ((loss["value"] > 0) | (not log))]
    low, high = edges.domain(kept["value"].to_numpy(float), log)
    start = float(min(ribbons["start"].min(), kept["x"].min() if len(kept) else np.inf))
    each = _HEIGHT if len(rows) * _HEIGHT <= _MOST_HEIGHT else max(_MOST_HEIGHT / len(rows), _LEAST_HEIGHT)
    plot = 150 + each * len(rows)
    share = 150 / plot
    x_scale = alt.Scale(domain=list(domain or (start, float(ribbons["end"].max()))), nice=False, zero=False)
    gutter: dict[str, Any] = {"orient": "left", "minExtent": 34, "titlePadding": 8}
    line = (
        alt.Chart(kept)
        .mark_line(strokeWidth=1, opacity=0.5, color=MUTED)
        .encode(
            x=alt.X("x:Q", title="Step", scale=x_scale, axis=alt.Axis(format="~s", grid=False, tickCount=6)),
            y=alt.Y(
                "value:Q",
                title=y_title,
                scale=alt.Scale(
                    type="log" if log else "linear",
                    domain=[low, high],
                    nice=False,
                    range=[alt.expr(f"height * {share - 0.03:.4f}"), 0],
                ),
                axis=alt.Axis(
                    format="~g", tickCount=4, values=edges.ticks(low, high, log, 4) or alt.Undefined, **gutter
                ),
            ),
            detail=alt.Detail("row:N"),
            tooltip=[alt.Tooltip("row:N", title="seed")],
        )
    )
    place = {row: index for index, row in enumerate(rows)}
    at = ribbons["row"].map(place)
    placed = ribbons.assign(top=at, bottom=at + 0.84)
    y = alt.Y(
        "top:Q",
        title="Seed",
        scale=alt.Scale(
            domain=[0, len(rows)],
            nice=False,
            zero=False,
            range=[alt.expr(f"height * {share:.4f}"), alt.expr("height")],
        ),
        axis=row_axis(rows, **gutter),
    )
    bands: alt.Chart | alt.LayerChart = (
        alt.Chart(placed)
        .mark_rect()
        .encode(
            x=alt.X("start:Q", title="Step", scale=x_scale),
            x2=alt.X2("end:Q"),
            y=y,
            y2=alt.Y2("bottom:Q"),
            color=state_colour(n_states),
            opacity=shade(),
            tooltip=[alt.Tooltip("row:N", title="seed"), *told()],
        )
    )
    if ends is not None and len(ends):
        marks = ends.assign(top=ends["row"].map(place) + 0.42)
        tooltip = [
            alt.Tooltip("row:N", title="seed"),
            alt.Tooltip("x:Q", title="converged at step", format=","),
        ]
        mark = alt.Chart(marks).mark_point(
            shape="triangle-down", filled=True, size=max(each * 4, 24), color="#FFFFFF", stroke="#1B212B",
            strokeWidth=1, opacity=1,
        )  # fmt: skip
        bands = alt.LayerChart(
            layer=[bands, mark.encode(x=alt.X("x:Q", scale=x_scale), y=y, tooltip=tooltip)]
        )
    return alt.LayerChart(
        layer=[line, bands], height=round(plot) + 100, resolve=alt.Resolve(scale={"y": "independent"})
    )
