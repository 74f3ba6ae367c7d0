"""Which metrics a transition is about: by the derivative of the filtered posterior, and by the means."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, STATES


def chart(frame: pd.DataFrame, target: int) -> alt.LayerChart:
    """Return the figure: two scales side by side over one list of metrics.

    Args:
        frame: metric, gradient, strength, difference, from the metric that counts most down.
        target: the state that is entered, which gives the colour.
    """
    order = frame["metric"].to_list()
    y = alt.Y(
        "metric:N",
        title=None,
        sort=order,
        axis=alt.Axis(ticks=False, domain=False, labelLimit=190, labelOverlap=False),
    )
    colour = STATES[target % len(STATES)]
    tooltip = [
        "metric:N",
        alt.Tooltip("gradient:Q", title="mean derivative", format="+.3~g"),
        alt.Tooltip("strength:Q", title="mean absolute derivative", format=".3~g"),
        alt.Tooltip("difference:Q", title="difference of means [z]", format="+.3~g"),
    ]
    values = frame.assign(reach=np.copysign(frame["strength"], frame["gradient"]), zero=0.0)
    base = alt.Chart(values)
    reach = max(float(frame["strength"].max()), 1e-12) * 1.05
    span = max(float(frame["difference"].abs().max()), 1e-12) * 1.05

    def half(field: str, title: str, bound: float, ends: tuple[float, float]) -> alt.X:
        tick = 10.0 ** np.floor(np.log10(bound))
        return alt.X(
            f"{field}:Q",
            title=title,
            scale=alt.Scale(
                domain=[-bound, bound],
                nice=False,
                range=[alt.expr(f"width * {ends[0]}"), alt.expr(f"width * {ends[1]}")],
            ),
            axis=alt.Axis(
                orient="bottom", values=[-tick, 0, tick], format="~g" if tick >= 1e-3 else "~e", grid=False
            ),
        )

    left = "d ln p(new) / dz"
    right = "Difference [z]"
    faint = base.mark_rule(strokeWidth=1.5, color=MUTED).encode(
        x=half("reach", left, reach, (0.0, 0.47)), x2=alt.X2("zero:Q"), y=y, tooltip=tooltip
    )
    solid = base.mark_bar(color=colour, height=9).encode(
        x=half("gradient", left, reach, (0.0, 0.47)), y=y, tooltip=tooltip
    )
    means = base.mark_bar(color=colour, height=9).encode(
        x=half("difference", right, span, (0.53, 1.0)), y=y, tooltip=tooltip
    )
    return alt.LayerChart(
        layer=[alt.LayerChart(layer=[faint, solid]), means],
        height=22 * len(order) + 66,
        resolve=alt.Resolve(scale={"x": "independent"}),
    )
