"""The barrier between every two of many networks, as they are below the diagonal and matched above it."""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING, method_colour

PICK = "pick"
_TOLD_UP_TO = 12
"""Networks up to which cells say their numbers."""
WITHIN, ACROSS, ONE_SEED = "within an arm", "across arms", "one seed, across arms"
_DASHES: dict[str, Sequence[float]] = {WITHIN: [1, 0], ACROSS: [5, 3], ONE_SEED: [1.5, 2.5]}


def chart(cells: pd.DataFrame, names: Sequence[str], top: float, title: str) -> alt.LayerChart:
    """Return the figure, with a selection named `PICK` on the fields `row` and `column`.

    Args:
        cells: row, column (places of the networks), a, b (their names), method, value, text, similarity; one
            row for each cell off the diagonal; a value that is not finite is an overflow.
        names: the networks from top to bottom.
        top: the value that ends the colours, so that matrices of several checkpoints share them.
        title: of the colours, with the unit.
    """
    n = len(names)
    finite = np.isfinite(cells["value"].to_numpy(float))
    pick = alt.selection_point(name=PICK, fields=["row", "column"], toggle=False, empty=False)
    order = list(range(n))
    said = f"{json.dumps(list(names))}[datum.value]"
    step: dict[str, Any] = {
        "labelExpr": said, "labelOverlap": n > 24, "labelLimit": 150, "ticks": False, "domain": False,
    }  # fmt: skip
    x = alt.X(
        "column:O", title=None, scale=alt.Scale(domain=order, paddingInner=0.04),
        axis=alt.Axis(orient="bottom", labelAngle=-40 if n > 4 else 0, **step),
    )  # fmt: skip
    y = alt.Y(
        "row:O",
        title=None,
        scale=alt.Scale(domain=order, paddingInner=0.04),
        axis=alt.Axis(orient="left", **step),
    )
    tooltip = [
        alt.Tooltip("a:N", title="from"), alt.Tooltip("b:N", title="to"), alt.Tooltip("method:N"),
        alt.Tooltip("text:N", title=title), alt.Tooltip("similarity:N", title="cosine of the weights"),
    ]  # fmt: skip
    bound = top if np.isfinite(top) and top > 0 else 1.0
    colour = alt.Color(
        "value:Q", title=title, scale=alt.Scale(scheme="viridis", domain=[0, bound], clamp=True),
        legend=alt.Legend(orient="right", gradientLength=200, format="~g", titleLimit=200),
    )  # fmt: skip
    layers = [
        alt.Chart(cells[finite])
        .mark_rect(cursor="pointer", cornerRadius=2)
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
        .add_params(pick)
    ]
    lost = cells[~finite]
    if len(lost):
        layers.append(
            alt.Chart(lost).mark_rect(cursor="pointer", cornerRadius=2, color=WARNING).encode(
                x=x, y=y, tooltip=tooltip
            )
        )  # fmt: skip
    if n <= _TOLD_UP_TO:
        # Light text on the dark end of the colours, which does not change with the page.
        light = f"!isValid(datum.value) || !isFinite(datum.value) || datum.value < {0.6 * bound}"
        layers.append(
            alt.Chart(cells)
            .mark_text(fontSize=11 if n <= 8 else 9)
            .encode(
                x=x,
                y=y,
                text=alt.Text("text:N"),
                color=alt.condition(light, alt.value("#FFFFFF"), alt.value("#1B212B")),
            )
        )
    return alt.LayerChart(layer=layers, height=max(220, min(30 * n + 90, 620)) if n > 5 else 54 * n + 60)


def over_training(medians: pd.DataFrame, y_title: str, height: int = 240) -> alt.LayerChart:
    """Return the median barrier of all pairs over the checkpoints, with its interval.

    Args:
        medians: step, method, group (`WITHIN`, `ACROSS` or `ONE_SEED`), median, low, high (NaN: no
            interval), pairs.
        y_title: of the vertical axis, with its unit.
        height: of the plot, in pixels.
    """
    steps = sorted(set(medians["step"]))
    positive = [step for step in steps if step > 0]
    x = alt.X(
        "step:Q", title="Step",
        scale=alt.Scale(type="symlog", constant=max(min(positive, default=1), 1), nice=False),
        axis=alt.Axis(
            values=steps, labelExpr="format(datum.value, ',')", labelOverlap="greedy", grid=False
        ),
    )  # fmt: skip
    y = alt.Y("median:Q", title=y_title, axis=alt.Axis(format="~g", tickCount=5))
    methods, groups = list(dict.fromkeys(medians["method"])), list(dict.fromkeys(medians["group"]))
    colour = method_colour(methods)
    dash = alt.StrokeDash(
        "group:N", title=None, scale=alt.Scale(domain=groups, range=[_DASHES[one] for one in groups]),
        legend=alt.Legend(
            orient="top", symbolType="stroke", symbolStrokeColor=MUTED, symbolSize=260, symbolStrokeWidth=2,
            offset=4,
        ) if len(groups) > 1 else None,
    )  # fmt: skip
    tooltip = [
        "method:N", "group:N", alt.Tooltip("step:Q", format=","),
        alt.Tooltip("median:Q", format=".4~g"), alt.Tooltip("low:Q", format=".4~g"),
        alt.Tooltip("high:Q", format=".4~g"), alt.Tooltip("pairs:Q"),
    ]  # fmt: skip
    shown = medians[np.isfinite(medians["median"])]
    banded = shown[np.isfinite(shown["low"]) & np.isfinite(shown["high"])]
    layers: list[alt.Chart] = []
    if len(banded):
        layers.append(
            alt.Chart(banded).mark_area(opacity=0.16).encode(
                x=x, y=alt.Y("low:Q", title=y_title), y2=alt.Y2("high:Q"), color=colour,
                detail=alt.Detail("group:N"),
            )
        )  # fmt: skip
    base = alt.Chart(shown)
    layers.append(base.mark_line(strokeWidth=2.2).encode(x=x, y=y, color=colour, strokeDash=dash))
    layers.append(
        base.mark_point(filled=True, size=46, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip)
    )
    lost = medians[~np.isfinite(medians["median"])]
    if len(lost):
        layers.append(
            alt.Chart(lost).mark_point(
                shape="triangle-up", filled=True, size=60, color=WARNING, opacity=1
            ).encode(
                x=x, y=alt.value(6), tooltip=["method:N", "group:N", alt.Tooltip("step:Q", format=",")]
            )
        )  # fmt: skip
    return alt.LayerChart(layer=layers, height=height)
