"""How long runs stay in each state: one dot a visit, and the posterior mean with its interval."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, state_colour, state_name

Traced = tuple[np.ndarray, np.ndarray, str, int]
"""A run: steps, states, arm, seed."""


def visits(runs: Sequence[Traced]) -> pd.DataFrame:
    """Return each visit of each run: state, steps, censored (the run ended in it), arm, seed."""
    parts: list[tuple[np.ndarray, ...]] = []
    for steps, path, arm, seed in runs:
        if len(path) < 2:
            continue
        begins = np.flatnonzero(np.r_[True, np.diff(path) != 0])
        ends = np.r_[steps[begins[1:]], steps[-1]]
        n = len(begins)
        parts.append(
            (
                path[begins],
                ends - steps[begins],
                np.arange(n) == n - 1,
                np.full(n, arm, object),
                np.full(n, seed),
            )
        )
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [np.zeros(0)] * 5
    frame = pd.DataFrame(dict(zip(("state", "steps", "censored", "arm", "seed"), columns, strict=True)))
    return frame.assign(state=[state_name(int(state)) for state in frame["state"]])


def chart(frame: pd.DataFrame, means: pd.DataFrame, n_states: int) -> alt.LayerChart:
    """Return the figure: on a log axis, so that a state left at once and one that lasts both have room.

    Args:
        frame: state, steps, censored, arm, seed: the visits.
        means: state, mean, low, high (steps): posterior mean and interval of the dwell time; an infinite mean
            where no visit was seen to end: ≥ then marks the lower end.
        n_states: how many states the model has, which fixes the colours.
    """
    order = [state_name(state) for state in range(n_states)]
    kept = frame[frame["steps"] > 0]
    kept = kept.assign(ending=np.where(kept["censored"], "run ended", "left"))
    told = means[np.isfinite(means["low"])]
    seen = np.isfinite(told["mean"])
    closed, unended = told[seen], told[~seen & (told["stays"] > 0)]
    values = np.r_[kept["steps"], unended["low"], closed["low"], closed["high"]].astype(float)
    low, high = edges.domain(values, log=True)
    scale = alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)
    axis = alt.Axis(format="~s", values=edges.ticks(low, high, log=True) or alt.Undefined)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", title="Steps in the state", scale=scale, axis=axis)

    y = alt.Y("state:N", title=None, sort=order, axis=alt.Axis(ticks=False, domain=False))
    dots = (
        alt.Chart(kept)
        .transform_calculate(jitter="random() - 0.5")
        .mark_point(size=34, filled=True, opacity=0.5)
        .encode(
            x=x("steps"),
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
    tooltip = [
        "state:N",
        alt.Tooltip("mean:Q", title="posterior mean [steps]", format=",.4~g"),
        alt.Tooltip("low:Q", format=",.4~g"),
        alt.Tooltip("high:Q", format=",.4~g"),
        alt.Tooltip("stays:Q", title="visits"),
        alt.Tooltip("left:Q", title="of which ended"),
    ]
    base = alt.Chart(closed)
    spans = base.mark_rule(strokeWidth=2.6, color=MUTED).encode(
        x=x("low"), x2=alt.X2("high:Q"), y=y, tooltip=tooltip
    )
    ticks = base.mark_tick(thickness=3, size=26, color=MUTED).encode(x=x("mean"), y=y, tooltip=tooltip)
    arrow = alt.Chart(unended).mark_text(text="≥", fontSize=17, fontWeight="bold", color=MUTED)
    least = arrow.encode(x=x("low"), y=y, tooltip=tooltip)
    return alt.LayerChart(layer=[dots, spans, ticks, least], height=38 * n_states + 90)
