"""Errors of orderings against epochs on two log axes, with the slopes of theory and the tail average."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED

ORDERINGS = ("SS", "RR", "IGM", "WR", "FlipFlop", "RS2", "GraB", "PairBalance", "Forked")
"""Their places fix their colours: Single Shuffle and Random Reshuffle have those of the demo's first arms."""
MEASURED, TAIL, REFERENCE = "last iterate", "tail average", "rate of theory"
LINES: dict[str, list[float]] = {MEASURED: [1, 0], TAIL: [6, 3], REFERENCE: [1.5, 3.5]}
_SHAPES = ("circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right")
_MARKED = 12
"""Points on a line up to which each has a mark of its own."""


def colours(labels: Sequence[str], orderings: Sequence[str]) -> list[str]:
    """Return the domain of colours in which each ordering has its own place, whichever others race.

    Args:
        labels: who races.
        orderings: of each of them; the first of an ordering has its place, others come behind all.
    """
    first = dict(reversed([*zip(orderings, labels, strict=True)]))
    places = [first.get(ordering, ordering) for ordering in ORDERINGS]
    return places + [label for label in labels if label not in places]


def chart(
    lines: pd.DataFrame,
    references: pd.DataFrame,
    domain: Sequence[str],
    x_title: str,
    y_title: str,
    budgets: Sequence[float] = (),
    height: int = 400,
    width: float = 760,
) -> alt.LayerChart:
    """Return the figure.

    Args:
        lines: label, line (``MEASURED`` or ``TAIL``), x, centre, low, high, n; all above 0, an interval may
            be NaN. One row a point.
        references: label, line (``REFERENCE``), x, centre, formula. May be empty.
        domain: every label that has a colour, in the order of the colours.
        x_title: of the horizontal axis.
        y_title: of the vertical axis.
        budgets: where the horizontal axis has its ticks; empty for powers of ten.
        height: of the plot, in pixels.
        width: about how wide it will be, in pixels.
    """
    ends = [lines[name].to_numpy(float) for name in ("centre", "low", "high")]
    low, high = edges.domain(np.concatenate([*ends, references["centre"].to_numpy(float)]), log=True)
    shown = [label for label in domain if label in set(lines["label"])]
    x = _x(lines["x"].to_numpy(float), x_title, budgets)
    y_axis = alt.Axis(
        format="~e" if low < 1e-5 or high >= 1e6 else "~g",
        values=edges.ticks(low, high, log=True) or alt.Undefined,
        titlePadding=10,
    )
    y_scale = alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=y_title, scale=y_scale, axis=y_axis)

    marked = bool(lines.groupby(["label", "line"])["x"].nunique().max() <= _MARKED)
    legend = _legend(shown, marked, width)
    colour = alt.Color("label:N", title=None, scale=alt.Scale(domain=list(domain)), legend=legend)
    dash = _dash(lines, references)
    layers: list[alt.Chart] = []
    spread = lines[lines["low"].notna() & lines["high"].notna()]
    for name, part in spread.groupby("line"):
        faint = 0.15 if name == MEASURED else 0.07
        area = alt.Chart(part).mark_area(opacity=faint)
        layers.append(area.encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), color=colour))
    if len(references):
        theory = alt.Chart(references).mark_line(strokeWidth=1.6, opacity=0.85)
        layers.append(
            theory.encode(
                x=x,
                y=y("centre"),
                color=colour,
                strokeDash=dash,
                tooltip=["label:N", alt.Tooltip("formula:N", title="rate")],
            )
        )
    line = alt.Chart(lines).mark_line(strokeWidth=2.2)
    layers.append(line.encode(x=x, y=y("centre"), color=colour, strokeDash=dash))
    layers.extend(_points(lines, x, x_title, y("centre"), colour, shown, legend, marked))
    return alt.LayerChart(layer=layers, height=height)


def _x(at: np.ndarray, title: str, budgets: Sequence[float]) -> alt.X:
    room = 1.06 if len(budgets) else 1.0
    low, high = float(at.min()) / room, float(at.max()) * room
    ticks = list(budgets) or edges.ticks(low, max(high, 1.01 * low), log=True) or alt.Undefined
    scale = alt.Scale(type="log", domain=[low, max(high, 1.01 * low)], nice=False)
    return alt.X("x:Q", title=title, scale=scale, axis=alt.Axis(values=ticks, format="~s", grid=False))


def _legend(shown: Sequence[str], marked: bool, width: float) -> alt.Legend:
    wide = sum(40 + 6.6 * len(label) for label in shown)
    widest = 40 + 6.6 * max(map(len, shown))
    kind: dict[str, Any] = {} if marked else {"symbolType": "stroke", "symbolStrokeWidth": 3}
    return alt.Legend(
        orient="top", values=list(shown), symbolOpacity=1, offset=4, symbolSize=90,
        columns=max(1, int(width // widest)) if wide > width else alt.Undefined, **kind,
    )  # fmt: skip


def _dash(lines: pd.DataFrame, references: pd.DataFrame) -> alt.StrokeDash:
    there = set(lines["line"]) | set(references["line"])
    legend = alt.Legend(
        orient="bottom", values=[name for name in LINES if name in there], offset=4,
        symbolType="stroke", symbolSize=500, symbolStrokeWidth=2, symbolStrokeColor=MUTED,
    )  # fmt: skip
    scale = alt.Scale(domain=list(LINES), range=list(LINES.values()))
    return alt.StrokeDash("line:N", title=None, scale=scale, legend=legend if len(there) > 1 else None)


def _points(
    lines: pd.DataFrame,
    x: alt.X,
    x_title: str,
    y: alt.Y,
    colour: alt.Color,
    shown: Sequence[str],
    legend: alt.Legend,
    marked: bool,
) -> list[alt.Chart]:
    """Return a mark for each point, hollow for the tail average; of a long line unseen, to be read out."""
    tooltip = [
        alt.Tooltip("label:N", title="ordering"),
        alt.Tooltip("line:N", title="error of"),
        alt.Tooltip("x:Q", title=x_title, format=",.6~g"),
        *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("centre", "low", "high")),
        alt.Tooltip("n:Q", title="seeds"),
    ]
    if not marked:
        unseen = alt.Chart(lines).mark_point(size=60, opacity=0)
        return [unseen.encode(x=x, y=y, color=colour, tooltip=tooltip)]
    shapes = [_SHAPES[place % len(_SHAPES)] for place in range(len(shown))]
    shape = alt.Shape("label:N", title=None, scale=alt.Scale(domain=list(shown), range=shapes), legend=legend)
    found: list[alt.Chart] = []
    for name, part in lines.groupby("line"):
        full = name == MEASURED
        base = alt.Chart(part).mark_point(filled=full, size=64 if full else 46, opacity=1, strokeWidth=1.5)
        found.append(base.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    return found
