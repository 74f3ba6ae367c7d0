"""Traces of many seeds: lines for runs, bands for whole arms, marks at the edge for what has no place.

Aligned at an event, a rule stands at 0 and a strip below the plot counts the seeds behind each band.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, arm_colour, arm_dash

_STRIP = 0.2
"""Share of the plot's height that the strip of counts takes, its gap included."""
_SHAPES = {"NaN": "cross", "+∞": "triangle-up", "−∞": "triangle-down", "zero or less": "circle"}


def chart(
    lines: pd.DataFrame,
    bands: pd.DataFrame,
    arms: Sequence[str],
    x_title: str,
    y_title: str,
    log: bool,
    height: int = 410,
    legend: bool = True,
    width: float = 760,
    event: str | None = None,
) -> alt.LayerChart:
    """Return the figure.

    Args:
        lines: arm, seed, run, x, value, kind; one row a point. May be empty.
        bands: arm, x, centre, low, high, n and perhaps inner_low, inner_high. May be empty.
        arms: every arm of the study, which fixes the colours.
        x_title: of the horizontal axis.
        y_title: of the vertical axis, with its unit.
        log: whether the vertical axis is logarithmic; values it cannot show are marked at its edge.
        height: of the plot, in pixels.
        legend: whether to name the colours.
        width: about how wide it will be, in pixels.
        event: colour of the rule at 0, where x is counted from an event; None for any other x.
    """
    drawn, lost = edges.split(lines, log)
    spread = _drawable(bands, log)
    present = {arm for part in (drawn, spread, lost) for arm in part["arm"].unique()}
    shown = [arm for arm in arms if arm in present]
    values = [
        drawn["value"].to_numpy(float),
        *(spread[name].to_numpy(float) for name in ("centre", "low", "high")),
    ]
    low, high = edges.domain(np.concatenate(values), log)
    counted = event is not None and len(spread) > 0
    floor = f"height * {1 - _STRIP}" if counted else "height"
    y_scale = alt.Scale(
        type="log" if log else "linear", domain=[low, high], nice=False, clamp=True,
        range=[alt.expr(floor), 0] if counted else alt.Undefined,
    )  # fmt: skip
    axis = alt.Axis(
        format="~e" if log and (low < 1e-5 or high >= 1e6) else "~g",
        titlePadding=10,
        **_places(low, high, log),
    )
    x = alt.X(
        "x:Q",
        title=x_title,
        scale=alt.Scale(nice=False, zero=False),
        axis=alt.Axis(format="~s", tickCount=8, grid=False),
    )
    colour, dash = arm_colour(arms, shown, legend, width), arm_dash(arms, shown, legend, width)
    # Bands lie over one another: those of many arms together must not hide their lines.
    faint = min(1.0, 6 / max(len(shown), 1))

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=y_title, scale=y_scale, axis=axis)

    layers: list[alt.Chart] = []
    if event is not None:
        zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=event, strokeWidth=2, opacity=0.9)
        layers.append(zero.encode(x=x))
    if len(spread):
        floored = spread.assign(low=spread["low"].clip(lower=low), high=spread["high"].clip(upper=high))
        base = alt.Chart(floored)
        layers.append(
            base.mark_area(opacity=0.14 * faint).encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), color=colour)
        )
        if "inner_low" in spread:
            layers.append(
                base.mark_area(opacity=0.2 * faint).encode(
                    x=x, y=y("inner_low"), y2=alt.Y2("inner_high:Q"), color=colour
                )
            )
    if len(drawn):
        opacity = faint * (0.3 if drawn["run"].nunique() <= 24 else 0.17) if len(spread) else 0.6
        seeds = alt.Chart(drawn[["arm", "seed", "run", "x", "value"]])
        layers.append(
            seeds.mark_line(strokeWidth=1.1, opacity=opacity).encode(
                x=x,
                y=y("value"),
                color=colour,
                detail=alt.Detail("run:N"),
                **({} if len(spread) else dash),
                tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("seed:Q")],
            )
        )
    if len(spread):
        layers.extend(_centre(spread, x, x_title, y("centre"), colour, dash))
    if len(lost):
        layers.extend(_edge_marks(lost, x, colour, floor))
    if not layers:
        layers.append(
            alt.Chart(pd.DataFrame({"x": [0.0], "centre": [1.0]})).mark_point(opacity=0).encode(x=x)
        )
    if counted:
        return alt.LayerChart(
            layer=[alt.LayerChart(layer=layers), _counts(spread, x, colour)],
            height=height,
            resolve=alt.Resolve(scale={"y": "independent"}),
        )
    return alt.LayerChart(layer=layers, height=height)


def _counts(spread: pd.DataFrame, x: alt.X, colour: alt.Color) -> alt.Chart:
    """Return how many seeds stand behind each band, in a strip at the foot of the plot."""
    most = int(spread["n"].max())
    place = alt.Scale(
        domain=[0, most], nice=False, range=[alt.expr("height"), alt.expr(f"height * {1.06 - _STRIP}")]
    )
    y = alt.Y(
        "n:Q",
        title="seeds",
        scale=place,
        axis=alt.Axis(orient="left", values=[0, most], format="d", grid=False),
    )
    line = alt.Chart(spread).mark_line(strokeWidth=1.6, interpolate="step")
    drawn: alt.Chart = line.encode(x=x, y=y, color=colour)
    return drawn


def _places(low: float, high: float, log: bool) -> dict[str, Any]:
    places = edges.ticks(low, high, log)
    return {"tickCount": 6} if places is None else {"values": places}


def _drawable(bands: pd.DataFrame, log: bool) -> pd.DataFrame:
    if bands.empty:
        return pd.DataFrame(
            {name: pd.Series(dtype=float) for name in ("arm", "x", "centre", "low", "high", "n")}
        )
    centre = bands["centre"].to_numpy(float)
    kept: pd.DataFrame = bands.loc[np.isfinite(centre) & ((centre > 0) | (not log))]
    return kept


def _centre(
    spread: pd.DataFrame, x: alt.X, x_title: str, y: alt.Y, colour: alt.Color, dash: dict[str, alt.StrokeDash]
) -> list[alt.Chart]:
    """Return the middle line of each arm and a point under the pointer that reads the band out."""
    hover = alt.selection_point(
        name="hover", on="pointerover", nearest=True, fields=["x"], empty=False, clear="pointerout"
    )
    line = alt.Chart(spread).mark_line(strokeWidth=2.4).encode(x=x, y=y, color=colour, **dash)
    tooltip = [
        alt.Tooltip("arm:N"),
        alt.Tooltip("x:Q", title=x_title, format=",.6~g"),
        alt.Tooltip("centre:Q", format=".4~g"),
        alt.Tooltip("low:Q", format=".4~g"),
        alt.Tooltip("high:Q", format=".4~g"),
        alt.Tooltip("n:Q", title="seeds"),
    ]
    points: alt.Chart = (
        alt.Chart(spread)
        .mark_point(size=60, filled=True)
        .encode(
            x=x, y=y, color=colour, opacity=alt.condition(hover, alt.value(1), alt.value(0)), tooltip=tooltip
        )
        .add_params(hover)
    )
    return [line, points]


def _edge_marks(lost: pd.DataFrame, x: alt.X, colour: alt.Color, floor: str) -> list[alt.Chart]:
    """Return marks at the upper edge for NaN and +Inf, at the lower for -Inf and what a log axis lacks."""
    kinds = [kind for kind in edges.KINDS if kind in set(lost["kind"])]
    shape = alt.Shape(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=kinds, range=[_SHAPES[kind] for kind in kinds]),
        legend=alt.Legend(
            orient="top", offset=4, symbolFillColor=MUTED, symbolStrokeWidth=0, symbolOpacity=1
        ),
    )
    at_bottom = lost["kind"].isin(["−∞", "zero or less"])
    layers: list[alt.Chart] = []
    for part, place in (
        (lost[~at_bottom], alt.value(5)),
        (lost[at_bottom], alt.value(alt.expr(f"{floor} - 5"))),
    ):
        if len(part):
            base = alt.Chart(part).mark_point(size=46, filled=True, opacity=0.9)
            tooltip = [
                *(alt.Tooltip("arm:N"), alt.Tooltip("kind:N")),
                *(alt.Tooltip("count:Q", title="points"), alt.Tooltip("seeds:Q")),
            ]
            layers.append(base.encode(x=x, y=place, color=colour, shape=shape, tooltip=tooltip))
    return layers
