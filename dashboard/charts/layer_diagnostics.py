"""What half-way does to each layer: one number against depth, a line for each method."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, method_colour


def chart(
    rows: pd.DataFrame,
    title: str,
    reference: float | None = None,
    legend: bool = True,
    height: int = 220,
) -> alt.LayerChart:
    """Return one panel.

    Args:
        rows: method, layer (in the order in which they run), value.
        title: of the vertical axis.
        reference: a value to compare with, drawn as a dashed line.
        legend: whether to name the methods.
        height: of the plot, in pixels.
    """
    layers_in_order = list(dict.fromkeys(rows["layer"]))
    methods = list(dict.fromkeys(rows["method"]))
    drawn = rows[np.isfinite(rows["value"].astype(float))]
    x = alt.X(
        "layer:N", title=None, sort=layers_in_order,
        scale=alt.Scale(domain=layers_in_order),
        axis=alt.Axis(labelAngle=-35, labelLimit=92, labelOverlap=len(layers_in_order) > 10, grid=False),
    )  # fmt: skip
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(zero=True),
        axis=alt.Axis(format="~g", tickCount=5, titlePadding=8),
    )
    colour = method_colour(methods, legend=legend, inside=True)
    layers: list[alt.Chart] = []
    if reference is not None:
        line = alt.Chart(pd.DataFrame({"value": [reference]}))
        layers.append(line.mark_rule(color=MUTED, strokeDash=[5, 3], strokeWidth=1.5).encode(y=y))
    base = alt.Chart(drawn)
    layers.append(base.mark_line(strokeWidth=1.8).encode(x=x, y=y, color=colour))
    layers.append(
        base.mark_point(filled=True, size=52, opacity=1).encode(
            x=x, y=y, color=colour,
            tooltip=["method:N", "layer:N", alt.Tooltip("value:Q", title=title, format=".4~g")],
        )
    )  # fmt: skip
    return alt.LayerChart(layer=layers, height=height)
