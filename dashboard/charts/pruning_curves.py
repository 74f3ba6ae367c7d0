"""Loss or accuracy of a network whose smallest weights were removed, corrected or not."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import WARNING, arm_colour, correction_dash


def chart(
    rows: pd.DataFrame, arms: Sequence[str], title: str, share: bool, legend: bool = True, height: int = 320
) -> alt.LayerChart:
    """Return one panel.

    Args:
        rows: arm, correction, sparsity (share of weights removed, below 1), value.
        arms: every arm of the study, which fixes the colour.
        title: of the vertical axis, with its unit.
        share: whether values are shares from 0 to 1.
        legend: whether to name the corrections.
        height: of the plot, in pixels.
    """
    placed = rows.assign(left=1 - rows["sparsity"].astype(float))
    finite = np.isfinite(placed["value"].astype(float))
    corrections = list(dict.fromkeys(rows["correction"]))
    places = sorted(set(placed["left"]), reverse=True)
    x = alt.X(
        "left:Q", title="Weights removed",
        scale=alt.Scale(type="log", domain=[max(places), min(places)], nice=False),
        axis=alt.Axis(
            values=places, labelExpr="format(1 - datum.value, '.0%')", grid=False, labelOverlap="greedy"
        ),
    )  # fmt: skip
    y = alt.Y(
        "value:Q", title=title,
        scale=alt.Scale(domain=[0, 1], nice=False) if share else alt.Scale(zero=True),
        axis=alt.Axis(format="%" if share else "~g", tickCount=6),
    )  # fmt: skip
    shown = list(dict.fromkeys(rows["arm"]))
    colour = arm_colour(arms, shown, legend=False)
    dash = correction_dash(corrections, legend=legend)
    tooltip = [
        "correction:N", alt.Tooltip("sparsity:Q", title="removed", format=".0%"),
        alt.Tooltip("value:Q", title=title, format=".3%" if share else ".4~g"),
    ]  # fmt: skip
    base = alt.Chart(placed[finite])
    layers = [
        base.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash),
        base.mark_point(filled=True, size=56, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip),
    ]
    lost = placed[~finite]
    if len(lost):
        layers.append(
            alt.Chart(lost.assign(kind="overflows"))
            .mark_point(shape="triangle-up", filled=True, size=60, color=WARNING, opacity=1)
            .encode(x=x, y=alt.value(6), tooltip=["correction:N", "kind:N"])
        )
    return alt.LayerChart(layer=layers, height=height)
