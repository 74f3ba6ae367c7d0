"""Features of two classes in the plane of a decision, under an order's batches and under the full batch."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING
from engine.analysis.shuffling import hull

CLASSES = ("#4477AA", "#DDAA33")
"""Colours of the second and the first class, apart under every colour blindness; their marks differ too."""
_MARKS = ("circle", "triangle-up")


def corners(points: pd.DataFrame) -> pd.DataFrame:
    """Return the outline of every class of every panel: panel, label, x, y, corner, closed.

    Args:
        points: panel, label, x, y.
    """
    parts = []
    for (panel, label), rows in points.groupby(["panel", "label"], sort=False):
        at = rows[["x", "y"]].to_numpy(float)
        outline = at[hull(at)]
        outline = np.vstack([outline, outline[:1]])
        parts.append(
            pd.DataFrame(
                {"panel": panel, "label": label, "x": outline[:, 0], "y": outline[:, 1]}
            ).reset_index(names="corner")
        )
    return pd.concat(parts, ignore_index=True)


def panel(points: pd.DataFrame, name: str, labels: Sequence[str], height: int = 300) -> alt.LayerChart:
    """Return one panel; panels of one frame share their axes, so that they can stand side by side.

    Args:
        points: panel, label, x (signed distance to the decision, which stands at 0), y, example, wrong
            (whether the example lies on the wrong side).
        name: which panel to draw.
        labels: the two classes, the one that belongs left of the decision first.
        height: of the plot, in pixels.
    """
    reach = {axis: np.abs(points[axis].to_numpy(float)).max() * 1.08 or 1.0 for axis in ("x", "y")}
    x, y = (
        alt.X("x:Q", title="Distance to the decision", scale=_scale(reach["x"])),
        alt.Y("y:Q", title="Direction beside it", scale=_scale(reach["y"])),
    )
    known = list(labels)
    colour = alt.Color(
        "label:N", title=None, scale=alt.Scale(domain=known, range=list(CLASSES)),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )  # fmt: skip
    shape = alt.Shape("label:N", title=None, scale=alt.Scale(domain=known, range=list(_MARKS)), legend=None)
    shown = points[points["panel"] == name]
    line = pd.DataFrame({"x": [0.0]})
    layers = [
        alt.Chart(corners(shown))
        .mark_line(strokeWidth=1.6, opacity=0.8)
        .encode(x=x, y=y, color=colour, order=alt.Order("corner:Q"), detail=alt.Detail("label:N")),
        alt.Chart(line).mark_rule(color=MUTED, strokeDash=[5, 3], strokeWidth=1.6).encode(x=x),
        alt.Chart(shown)
        .mark_point(filled=True, size=46, opacity=0.8)
        .encode(
            x=x, y=y, color=colour, shape=shape,
            tooltip=["label:N", "example:Q", alt.Tooltip("x:Q", format=".3~g"), "wrong:N"],
        ),
        alt.Chart(shown[shown["wrong"].astype(bool)])
        .mark_point(size=150, strokeWidth=1.8, color=WARNING, opacity=1)
        .encode(x=x, y=y),
    ]  # fmt: skip
    return alt.LayerChart(layer=layers, height=height)


def _scale(reach: float) -> alt.Scale:
    return alt.Scale(domain=[-reach, reach], nice=False)
