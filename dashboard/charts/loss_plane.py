"""The loss on the plane through three networks, in steps of colour like the contours of a map."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import WARNING

_LEVELS = 14


def tidy(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    """Return one row for each cell of a grid: left, right, low, high, x, y, value.

    Args:
        x: places of the columns, evenly spaced.
        y: places of the rows, evenly spaced.
        values: [rows, columns].
    """
    across, up = np.meshgrid(x, y)
    half_x, half_y = (float(np.diff(axis).mean()) / 2 for axis in (x, y))
    return pd.DataFrame(
        {
            "x": across.ravel(), "y": up.ravel(),
            "left": across.ravel() - half_x, "right": across.ravel() + half_x,
            "low": up.ravel() - half_y, "high": up.ravel() + half_y,
            "value": values.ravel().astype(float),
        }
    )  # fmt: skip


def chart(
    cells: pd.DataFrame,
    anchors: pd.DataFrame,
    ends: tuple[float, float],
    title: str,
    log: bool,
    height: int = 360,
    legend: bool = True,
) -> alt.LayerChart:
    """Return the figure.

    Args:
        cells: left, right, low, high, x, y, value; see :func:`tidy`.
        anchors: name, x, y: the three networks.
        ends: least and greatest value of the colours, which planes that stand side by side share.
        title: of the colours, with the unit.
        log: whether colours are even in the logarithm of the value.
        height: of the plot, in pixels.
        legend: whether to say what the colours mean.
    """
    value = cells["value"].to_numpy(float)
    finite = np.isfinite(value)
    with np.errstate(divide="ignore", invalid="ignore"):
        shade = np.log10(np.clip(value, ends[0], ends[1])) if log else np.clip(value, *ends)
    bounds = [float(np.log10(end)) for end in ends] if log else list(ends)
    drawn = cells.assign(shade=shade)[finite]
    x = alt.X(
        "left:Q", title="Distance along the first side",
        scale=alt.Scale(domain=[float(cells["left"].min()), float(cells["right"].max())], nice=False),
        axis=alt.Axis(grid=False, format="~g"),
    )  # fmt: skip
    y = alt.Y(
        "low:Q", title="Distance across it",
        scale=alt.Scale(domain=[float(cells["low"].min()), float(cells["high"].max())], nice=False),
        axis=alt.Axis(grid=False, format="~g"),
    )  # fmt: skip
    scale = alt.Scale(type="quantize", domain=bounds, scheme=alt.SchemeParams("viridis", count=_LEVELS))
    number = "format(pow(10, datum.value), '.2~g')" if log else "format(datum.value, '.2~f')"
    legend_of = (
        alt.Legend(
            orient="right", gradientLength=height - 80, titleLimit=160, type="gradient",
            labelExpr=f"isFinite(datum.value) ? {number} : ''",
        ) if legend else None
    )  # fmt: skip
    colour = alt.Color("shade:Q", title=title, scale=scale, legend=legend_of)
    tooltip = [
        alt.Tooltip("value:Q", title=title, format=".4~g"), alt.Tooltip("x:Q", format=".3~g"),
        alt.Tooltip("y:Q", format=".3~g"),
    ]  # fmt: skip
    # A hair wider than the cell, for no line of background shows between two of them.
    layers = [
        alt.Chart(drawn).mark_rect(strokeWidth=0.6).encode(
            x=x, x2=alt.X2("right:Q"), y=y, y2=alt.Y2("high:Q"), color=colour, tooltip=tooltip,
            stroke=alt.Stroke("shade:Q", scale=scale, title=title, legend=legend_of),
        )
    ]  # fmt: skip
    lost = cells[~finite]
    if len(lost):
        layers.append(
            alt.Chart(lost.assign(kind="overflows")).mark_rect(color=WARNING).encode(
                x=x, x2=alt.X2("right:Q"), y=y, y2=alt.Y2("high:Q"), tooltip=["kind:N"]
            )
        )  # fmt: skip
    base = alt.Chart(anchors.rename(columns={"x": "left", "y": "low"}))
    layers.append(
        base.mark_point(
            shape="diamond", filled=True, size=130, color="#FFFFFF", stroke="#1B212B", strokeWidth=1.6,
            opacity=1,
        ).encode(x=x, y=y, tooltip=["name:N"])
    )  # fmt: skip
    named = base.encode(x=x, y=y, text=alt.Text("name:N"))
    look: dict[str, Any] = {"dy": -13, "fontSize": 11, "fontWeight": 600}
    layers.append(
        named.mark_text(stroke="#1B212B", strokeWidth=3, strokeJoin="round", color="#1B212B", **look)
    )
    layers.append(named.mark_text(color="#FFFFFF", **look))
    return alt.LayerChart(layer=layers, height=height)
