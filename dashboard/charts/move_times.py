"""When runs go from one latent state to another: one mark a run, with the median and its interval."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour


def chart(moments: pd.DataFrame, medians: pd.DataFrame, order: list[str], n_states: int) -> alt.LayerChart:
    """Return the figure.

    Args:
        moments: move, state (the one entered), step, arm, seed: the first time in each run.
        medians: move, median, low, high (steps; NaN ends where too few runs).
        order: the moves from top to bottom.
        n_states: how many states the model has, which fixes the colours.
    """
    y = alt.Y(
        "move:N",
        title=None,
        sort=order,
        axis=alt.Axis(
            ticks=False,
            domain=False,
            labelExpr="replace(replace(datum.label, 'State ', ''), ' to State ', ' → ')",
        ),
    )
    x = alt.X("step:Q", title="Step of the first time in a run", axis=alt.Axis(format="~s", tickCount=6))
    dots = (
        alt.Chart(moments)
        .transform_calculate(jitter="random() - 0.5")
        .mark_point(size=30, filled=True, opacity=0.55)
        .encode(
            x=x,
            y=y,
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.2, 1.2])),
            color=state_colour(n_states, legend=False),
            tooltip=["move:N", "arm:N", "seed:Q", alt.Tooltip("step:Q", format=",")],
        )
    )
    tooltip = [
        "move:N",
        alt.Tooltip("median:Q", format=",.0f"),
        alt.Tooltip("low:Q", format=",.0f"),
        alt.Tooltip("high:Q", format=",.0f"),
        alt.Tooltip("n:Q", title="runs"),
    ]
    base = alt.Chart(medians)
    spans = base.mark_rule(strokeWidth=2.2, color=MUTED).encode(
        x=alt.X("low:Q", title="Step of the first time in a run"), x2=alt.X2("high:Q"), y=y
    )
    ticks = base.mark_tick(thickness=3, size=22, color=MUTED).encode(
        x=alt.X("median:Q", title="Step of the first time in a run"), y=y, tooltip=tooltip
    )
    return alt.LayerChart(layer=[dots, spans, ticks], height=26 * max(len(order), 1) + 60)
