"""How long runs stay in each state: one dot a visit, a bar at the median."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour, state_name


def visits(steps: np.ndarray, path: np.ndarray) -> pd.DataFrame:
    """Return each visit of a run: state, steps, censored (the run ended in it)."""
    if len(path) < 2:
        return pd.DataFrame({"state": [], "steps": [], "censored": []})
    begins = np.flatnonzero(np.r_[True, np.diff(path) != 0])
    ends = np.r_[steps[begins[1:]], steps[-1]]
    return pd.DataFrame(
        {
            "state": [state_name(int(state)) for state in path[begins]],
            "steps": ends - steps[begins],
            "censored": [index == len(begins) - 1 for index in range(len(begins))],
        }
    )


def chart(frame: pd.DataFrame, n_states: int) -> alt.LayerChart:
    """Return the figure from rows of state, steps, censored, arm, seed."""
    order = [state_name(state) for state in range(n_states)]
    y = alt.Y("state:N", title=None, sort=order, axis=alt.Axis(ticks=False, domain=False))
    x = alt.X("steps:Q", title="Steps in the state", axis=alt.Axis(format="~s", tickCount=6))
    kept = frame[frame["steps"] > 0].assign(
        ending=np.where(frame.loc[frame["steps"] > 0, "censored"], "run ended", "left")
    )
    dots = (
        alt.Chart(kept)
        .transform_calculate(jitter="random() - 0.5")
        .mark_point(size=34, filled=True, opacity=0.6)
        .encode(
            x=x,
            y=y,
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.2, 1.2])),
            color=state_colour(n_states, legend=False),
            shape=alt.Shape(
                "ending:N",
                title=None,
                scale=alt.Scale(domain=["left", "run ended"], range=["circle", "triangle-right"]),
                legend=alt.Legend(orient="top", offset=2, symbolFillColor=MUTED, symbolStrokeWidth=0),
            ),
            tooltip=["state:N", "arm:N", "seed:Q", alt.Tooltip("steps:Q", format=","), "ending:N"],
        )
    )
    medians = kept.groupby("state", as_index=False)["steps"].median()
    bars = alt.Chart(medians).mark_tick(thickness=2.5, size=24, color=MUTED).encode(x=x, y=y)
    return alt.LayerChart(layer=[dots, bars], height=38 * n_states + 90)
