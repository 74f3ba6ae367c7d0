"""How long a state lasts: posterior mean and interval of its dwell time, on a log axis."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, state_colour, state_name


def chart(frame: pd.DataFrame, n_states: int) -> alt.LayerChart:
    """Return the figure; a state that no run was seen to leave has only a lower end, marked by an arrow.

    Args:
        frame: state, stays, left, mean, low, high (steps; an infinite mean where no end was seen).
        n_states: how many states the model has, which fixes the colours.
    """
    told = frame[frame["stays"] > 0]
    open_ended = ~np.isfinite(told["mean"])
    closed, open_rows = told[~open_ended], told[open_ended]
    values = np.r_[closed[["low", "high", "mean"]].to_numpy(float).ravel(), open_rows["low"].to_numpy(float)]
    low, high = edges.domain(values, log=True)
    x_axis = alt.Axis(format="~s", values=edges.ticks(low, high, log=True) or alt.Undefined)
    x_scale = alt.Scale(type="log", domain=[low, high], nice=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Steps in the state, once entered", scale=x_scale, axis=x_axis)

    y = alt.Y(
        "state:N",
        title=None,
        sort=[state_name(state) for state in range(n_states)],
        axis=alt.Axis(ticks=False, domain=False),
    )
    colour = state_colour(n_states, legend=False)
    tooltip = [
        alt.Tooltip("state:N"),
        alt.Tooltip("mean:Q", title="mean [steps]", format=",.4~g"),
        alt.Tooltip("low:Q", format=",.4~g"),
        alt.Tooltip("high:Q", format=",.4~g"),
        alt.Tooltip("stays:Q"),
        alt.Tooltip("left:Q", title="of which ended"),
    ]
    base, arrows = alt.Chart(closed), alt.Chart(open_rows)
    layers = [
        base.mark_rule(strokeWidth=3.2).encode(x=x("low"), x2=alt.X2("high:Q"), y=y, color=colour),
        base.mark_point(filled=True, size=110, opacity=1).encode(
            x=x("mean"), y=y, color=colour, tooltip=tooltip
        ),
        arrows.mark_point(filled=True, shape="triangle-right", size=130, opacity=1).encode(
            x=x("low"), y=y, color=colour, tooltip=tooltip
        ),
        arrows.mark_text(align="left", dx=12, fontSize=11, color=MUTED, text="or longer: never left").encode(
            x=x("low"), y=y
        ),
    ]
    return alt.LayerChart(layer=layers, height=36 * max(len(told), 1) + 46)
