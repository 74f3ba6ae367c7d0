"""Each seed as a line between its two arms, and each pair of arms beside its control."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, arm_colour


def chart(
    levels: pd.DataFrame, order: Sequence[str], arms: Sequence[str], title: str, height: int = 260
) -> alt.LayerChart:
    """Return the figure.

    Args:
        levels: arm, pair, seed, value; one row for each arm and seed, on a log axis.
        order: the arms from left to right, pair by pair.
        arms: every arm of the study, which fixes the colours.
        title: of the vertical axis.
        height: of the plot, in pixels.
    """
    drawn = levels[levels["value"] > 0]
    low, high = edges.domain(drawn["value"].to_numpy(float), log=True)
    x = alt.X(
        "arm:N",
        title=None,
        sort=list(order),
        scale=alt.Scale(domain=list(order)),
        axis=alt.Axis(labelAngle=0),
    )
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(
            format="~e" if low < 1e-5 else "~g", values=edges.ticks(low, high, log=True) or alt.Undefined
        ),
    )
    base = alt.Chart(drawn)
    tooltip = [alt.Tooltip("arm:N"), alt.Tooltip("seed:Q"), alt.Tooltip("value:Q", format=".4~g")]
    slopes = base.mark_line(strokeWidth=1, opacity=0.55, color=MUTED).encode(
        x=x, y=y, detail=["pair:N", "seed:N"]
    )
    dots = base.mark_point(filled=True, size=46, opacity=0.85).encode(
        x=x, y=y, color=arm_colour(arms, order, legend=False), tooltip=tooltip
    )
    return alt.LayerChart(layer=[slopes, dots], height=height)
