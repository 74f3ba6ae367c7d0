"""Kaplan-Meier curves: the share of runs without the event so far, convergence or another, by group."""

from typing import NamedTuple

import altair as alt
import numpy as np
import pandas as pd

from engine.analysis.survival import kaplan_meier


class Curves(NamedTuple):
    """Curves as rows.

    Attributes:
        steps: group, step, share, low, high (95 % interval; NaN where there is none), at_risk.
        censored: group, step, share: runs last seen at that step, without the event.
    """

    steps: pd.DataFrame
    censored: pd.DataFrame


def curve(times: np.ndarray, observed: np.ndarray, name: str, group: str = "group") -> Curves:
    """Return the curve of one group of runs.

    Args:
        times: step of the event, or how long the run was observed without it.
        observed: whether it happened.
        name: of the group.
        group: what the column of names is called.
    """
    found = kaplan_meier(times, observed)
    at = np.r_[0.0, found.times]
    share, low, high = (np.r_[1.0, part] for part in (found.survival, found.low, found.high))
    at_risk = np.r_[len(times), found.at_risk]
    if times.max() > at[-1]:
        at, share, low, high = (np.r_[part, end] for part, end in (
            (at, times.max()), (share, share[-1]), (low, low[-1]), (high, high[-1])
        ))  # fmt: skip
        at_risk = np.r_[at_risk, (times >= times.max()).sum()]
    steps = pd.DataFrame(
        {group: name, "step": at, "share": share, "low": low, "high": high, "at_risk": at_risk}
    )
    lost = np.sort(times[~observed])
    there = share[np.searchsorted(at, lost, side="right") - 1]
    return Curves(steps, pd.DataFrame({group: name, "step": lost, "share": there}))


def chart(
    curves: list[Curves],
    colour: alt.Color,
    group: str = "group",
    height: int = 300,
    without: str = "Not yet converged",
) -> alt.LayerChart:
    """Return the figure; the second group and those after it are dashed.

    Args:
        curves: one a group.
        colour: the encoding of the groups, with its legend.
        group: the column of names.
        height: of the plot, in pixels.
        without: what is said of a run before its event.
    """
    names = [str(each.steps[group].iloc[0]) for each in curves]
    steps = pd.concat([each.steps for each in curves], ignore_index=True)
    parts = [each.censored for each in curves if len(each.censored)]
    x = alt.X("step:Q", title="Step", scale=alt.Scale(nice=False, zero=True), axis=alt.Axis(format="~s"))
    y_axis = alt.Axis(format="%", tickCount=5)
    scale = alt.Scale(domain=[0, 1])

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", title=without, scale=scale, axis=y_axis)

    dash = alt.StrokeDash(
        f"{group}:N",
        title=None,
        legend=colour["legend"],
        scale=alt.Scale(domain=names, range=[[1, 0], *[[6, 3]] * (len(names) - 1)]),
    )
    tooltip = [
        alt.Tooltip(f"{group}:N"),
        alt.Tooltip("step:Q", format=","),
        alt.Tooltip("share:Q", title=without.lower(), format=".0%"),
        alt.Tooltip("low:Q", format=".0%"),
        alt.Tooltip("high:Q", format=".0%"),
        alt.Tooltip("at_risk:Q", title="runs at risk"),
    ]
    layers = [
        alt.Chart(steps[steps["low"].notna()])
        .mark_area(opacity=0.16, interpolate="step-after")
        .encode(x=x, y=y("low"), y2=alt.Y2("high:Q"), color=colour),
        alt.Chart(steps)
        .mark_line(strokeWidth=2.4, interpolate="step-after")
        .encode(x=x, y=y("share"), color=colour, strokeDash=dash),
        alt.Chart(steps)
        .mark_point(size=50, opacity=0)
        .encode(x=x, y=y("share"), color=colour, tooltip=tooltip),
    ]
    if parts:
        layers.append(
            alt.Chart(pd.concat(parts, ignore_index=True))
            .mark_point(shape="stroke", angle=90, size=110, strokeWidth=1.8, opacity=1)
            .encode(x=x, y=y("share"), color=colour, tooltip=[f"{group}:N", "step:Q"])
        )
    return alt.LayerChart(layer=layers, height=height)
