"""How much later runs converge that visited a state: one row a state, with its verdict."""

import json

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour

_ROW = 46


def chart(frame: pd.DataFrame, n_states: int) -> alt.LayerChart:
    """Return the figure; rows from top to bottom as in the frame.

    Args:
        frame: state, verdict, delay, low, high, joint_delay, joint_low, joint_high (steps; NaN where a state
            was not tested), label (what is written at the right), is_detour.
        n_states: how many states the model has, which fixes the colours.
    """
    placed = frame.reset_index(drop=True).assign(place=lambda rows: rows.index + 0.36)
    tested = placed[placed["delay"].notna()]
    ends = tested[["low", "high", "joint_low", "joint_high", "delay", "joint_delay"]].to_numpy(float)
    low, high = (min(float(ends.min()), 0.0), max(float(ends.max()), 0.0)) if len(tested) else (0.0, 1.0)
    width = high - low or 1.0  # the words at the right have 0.45 of it to themselves
    x_scale = alt.Scale(domain=[low - 0.04 * width, high + 0.45 * width], nice=False, zero=False)
    known = len(tested) > 0
    x_axis = alt.Axis(format="~s", tickCount=6, grid=known, labels=known, ticks=known)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Delay of visitors [steps]", scale=x_scale, axis=x_axis)

    y = alt.Y(
        "place:Q",
        title=None,
        scale=alt.Scale(domain=[0, len(placed)], nice=False, zero=False, reverse=True),
        axis=alt.Axis(
            values=[place + 0.36 for place in range(len(placed))],
            labelExpr=f"{json.dumps(placed['state'].to_list())}[floor(datum.value)]",
            labelOverlap=False,
            ticks=False,
            domain=False,
            grid=False,
        ),
    )
    colour = state_colour(n_states, legend=False)
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(x=x("x"))
    joint = placed.assign(place=placed["place"] + 0.2)
    base, below = alt.Chart(tested), alt.Chart(joint[joint["delay"].notna()])
    tooltip = [
        alt.Tooltip("state:N"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("delay:Q", title="delay [steps]", format=",.4~g"),
        alt.Tooltip("low:Q", format=",.4~g"),
        alt.Tooltip("high:Q", format=",.4~g"),
        alt.Tooltip("joint_delay:Q", title="joint delay [steps]", format=",.4~g"),
        alt.Tooltip("joint_low:Q", title="joint low", format=",.4~g"),
        alt.Tooltip("joint_high:Q", title="joint high", format=",.4~g"),
    ]
    layers = [
        zero,
        base.mark_rule(strokeWidth=3.4).encode(x=x("low"), x2=alt.X2("high:Q"), y=y, color=colour),
        below.mark_rule(strokeWidth=1.2).encode(
            x=x("joint_low"), x2=alt.X2("joint_high:Q"), y=y, color=colour
        ),
        base.mark_point(size=130, filled=True, opacity=1).encode(
            x=x("delay"),
            y=y,
            color=colour,
            shape=alt.condition("datum.is_detour", alt.value("circle"), alt.value("square")),
            tooltip=tooltip,
        ),
        below.mark_point(size=46, shape="diamond", strokeWidth=1.6, opacity=1).encode(
            x=x("joint_delay"), y=y, color=colour, tooltip=tooltip
        ),
        alt.Chart(placed)
        .mark_text(align="right", fontSize=12, color=MUTED)
        .encode(x=alt.value(alt.expr("width")), y=y, text=alt.Text("label:N")),
    ]
    return alt.LayerChart(layer=layers, height=_ROW * len(placed) + 50)
