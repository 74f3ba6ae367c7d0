"""A ribbon of latent states for each seed under the loss, on one axis; pale where the model is unsure."""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import state_colour, state_name

_CERTAINTY = (0.5, 0.7, 0.9)


def stretches(
    steps: np.ndarray, path: np.ndarray, confidence: np.ndarray, arm: str, seed: int, certainty: bool = True
) -> pd.DataFrame:
    """Return a run's path as stretches of one state and one band of certainty.

    The columns are arm, seed, start, end, state, confidence.

    Args:
        steps: [T] optimizer steps, increasing.
        path: [T] states.
        confidence: [T] posterior probability of the state on the path.
        arm: of the run.
        seed: of the run.
        certainty: whether to split where certainty passes 0.5, 0.7 or 0.9, not only where the state changes.
    """
    if not len(steps):
        return pd.DataFrame({name: [] for name in ("arm", "seed", "start", "end", "state", "confidence")})
    band = np.digitize(confidence, _CERTAINTY) if certainty else np.zeros(len(path), dtype=int)
    begins = np.flatnonzero(np.r_[True, (np.diff(path) != 0) | (np.diff(band) != 0)])
    ends = np.r_[begins[1:], len(path)]
    widths = np.diff(steps)
    last = steps[-1] + (int(np.median(widths)) if len(widths) else 1)
    return pd.DataFrame(
        {
            "arm": arm,
            "seed": seed,
            "start": steps[begins],
            "end": np.r_[steps[begins[1:]], last],
            "state": [state_name(int(state)) for state in path[begins]],
            "confidence": [float(confidence[a:b].mean()) for a, b in zip(begins, ends, strict=True)],
        }
    )


def chart(
    ribbons: pd.DataFrame, loss: pd.DataFrame, rows: Sequence[str], n_states: int, y_title: str, log: bool
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
    """
    kept = loss[np.isfinite(loss["value"]) & ((loss["value"] > 0) | (not log))]
    low, high = edges.domain(kept["value"].to_numpy(float), log)
    start = float(min(ribbons["start"].min(), kept["x"].min() if len(kept) else np.inf))
    height = 150 + 17 * len(rows) + 100
    share = 150 / (150 + 17 * len(rows))
    x_scale = alt.Scale(domain=[start, float(ribbons["end"].max())], nice=False)
    gutter: dict[str, Any] = {"orient": "left", "minExtent": 34, "titlePadding": 8}
    line = (
        alt.Chart(kept)
        .mark_line(strokeWidth=1, opacity=0.5, color="#8490A0")
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
            detail="row:N",
            tooltip=[alt.Tooltip("row:N", title="seed")],
        )
    )
    place = {row: index for index, row in enumerate(rows)}
    placed = ribbons.assign(top=ribbons["row"].map(place), bottom=ribbons["row"].map(place) + 0.84)
    bands = (
        alt.Chart(placed)
        .mark_rect()
        .encode(
            x=alt.X("start:Q", title="Step", scale=x_scale),
            x2="end:Q",
            y=alt.Y(
                "top:Q",
                title="Seed",
                scale=alt.Scale(
                    domain=[0, len(rows)],
                    nice=False,
                    zero=False,
                    range=[alt.expr(f"height * {share:.4f}"), alt.expr("height")],
                ),
                axis=alt.Axis(
                    values=[index + 0.42 for index in range(len(rows))],
                    labelExpr=f"{json.dumps(list(rows))}[floor(datum.value)]",
                    labelOverlap="greedy",
                    ticks=False,
                    domain=False,
                    grid=False,
                    **gutter,
                ),
            ),
            y2="bottom:Q",
            color=state_colour(n_states),
            opacity=alt.Opacity(
                "confidence:Q", legend=None, scale=alt.Scale(domain=[0.4, 1.0], range=[0.15, 1.0], clamp=True)
            ),
            tooltip=[
                alt.Tooltip("row:N", title="seed"),
                alt.Tooltip("state:N"),
                alt.Tooltip("start:Q", title="from step", format=","),
                alt.Tooltip("end:Q", title="to step", format=","),
                alt.Tooltip("confidence:Q", format=".2f"),
            ],
        )
    )
    return alt.LayerChart(layer=[line, bands], height=height, resolve=alt.Resolve(scale={"y": "independent"}))
