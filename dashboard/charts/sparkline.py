"""The small picture of a study: each arm's median and middle half over training."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import arm_colour, arm_dash

_WIDTH = 400
"""About how wide a card's picture is, in pixels."""


def chart(bands: pd.DataFrame, arms: Sequence[str], log: bool, height: int = 190) -> alt.LayerChart:
    """Return the figure from the bands of a metric: arm, x, median, q25, q75."""
    kept = bands[np.isfinite(bands["median"]) & ((bands["median"] > 0) | (not log))]
    low, high = edges.domain(kept["median"].to_numpy(float), log)
    drawn = kept.assign(q25=kept["q25"].clip(lower=low), q75=kept["q75"].clip(upper=high))
    base = alt.Chart()
    x = alt.X("x:Q", title=None, axis=None, scale=alt.Scale(nice=False, zero=False))
    scale = alt.Scale(type="log" if log else "linear", domain=[low, high], nice=False, clamp=True)
    axis = alt.Axis(
        values=edges.ticks(low, high, log, 5) or alt.Undefined,
        tickCount=3,
        format=".3~g",
        grid=False,
        domain=False,
        ticks=False,
        labelPadding=2,
    )
    shown = list(kept["arm"].unique())
    colour, dash = arm_colour(arms, shown, width=_WIDTH), arm_dash(arms, shown, width=_WIDTH)
    band = base.mark_area(opacity=0.16 * min(1.0, 6 / max(len(shown), 1))).encode(
        x=x, y=alt.Y("q25:Q", scale=scale, axis=axis, title=None), y2=alt.Y2("q75:Q"), color=colour
    )
    line = base.mark_line(strokeWidth=1.8).encode(
        x=x, y=alt.Y("median:Q", scale=scale, axis=axis), color=colour, **dash
    )
    return alt.LayerChart(data=drawn, layer=[band, line], height=height)
