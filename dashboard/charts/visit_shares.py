"""The share of each arm's runs that visit a state, with its interval."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from dashboard.charts.palette import arm_colour, state_name


def chart(frame: pd.DataFrame, arms: Sequence[str], shown: Sequence[str], n_states: int) -> alt.LayerChart:
    """Return the figure.

    Args:
        frame: state, arm, happened, n, share, low, high.
        arms: every arm of the study, which fixes the colours.
        shown: the arms that are drawn.
        n_states: how many states the model has.
    """
    order = [state_name(state) for state in range(n_states)]
    y = alt.Y("state:N", title=None, sort=order, axis=alt.Axis(ticks=False, domain=False, grid=True))
    offset = alt.YOffset("arm:N", sort=list(shown), scale=alt.Scale(domain=list(shown), paddingOuter=0.4))
    colour = arm_colour(arms, shown)
    shape = alt.Shape("arm:N", title=None, legend=colour["legend"], scale=alt.Scale(domain=list(shown)))
    axis = alt.Axis(format="%", tickCount=5)
    scale = alt.Scale(domain=[-0.02, 1.02], nice=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Share of runs that visit the state", scale=scale, axis=axis)

    base = alt.Chart(frame)
    tooltip = [
        alt.Tooltip("state:N"),
        alt.Tooltip("arm:N"),
        alt.Tooltip("happened:Q", title="runs that visit"),
        alt.Tooltip("n:Q", title="of"),
        alt.Tooltip("share:Q", format=".0%"),
        alt.Tooltip("low:Q", format=".0%"),
        alt.Tooltip("high:Q", format=".0%"),
    ]
    layers = [
        base.mark_rule(strokeWidth=2.4).encode(
            x=x("low"), x2=alt.X2("high:Q"), y=y, yOffset=offset, color=colour
        ),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            x=x("share"), y=y, yOffset=offset, color=colour, shape=shape, tooltip=tooltip
        ),
    ]
    return alt.LayerChart(layer=layers, height=(16 * len(shown) + 16) * n_states + 60)
