"""The share of runs in each state over training."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import state_colour, state_name
from engine.analysis.detours import occupancy

_POINTS = 200


def shares(steps: Sequence[np.ndarray], paths: Sequence[np.ndarray], n_states: int) -> pd.DataFrame:
    """Return step, state, order, share, n: at up to 200 of the steps that some run was measured at.

    A run is in the state of its last row until its next, and counts to its last; the first step is the first
    at which every run has begun.

    Args:
        steps: of each run's rows, increasing; at least one run, each with a row.
        paths: state at each row.
        n_states: number of states.
    """
    grid = np.unique(np.concatenate(steps))
    grid = grid[grid >= max(at[0] for at in steps)]
    grid = grid[np.unique(np.linspace(0, len(grid) - 1, min(len(grid), _POINTS)).round().astype(int))]
    there = [
        path[np.searchsorted(at, grid[grid <= at[-1]], side="right") - 1]
        for at, path in zip(steps, paths, strict=True)
    ]
    found = occupancy(there, n_states)
    return pd.DataFrame(
        {
            "step": np.repeat(grid, n_states),
            "state": np.tile([state_name(state) for state in range(n_states)], len(grid)),
            "order": np.tile(np.arange(n_states), len(grid)),
            "share": found.share.ravel(),
            "n": np.repeat(found.n, n_states),
        }
    )


def chart(frame: pd.DataFrame, n_states: int, height: int = 260) -> alt.LayerChart:
    """Return the figure from rows of step, state, order, share, n."""
    areas = (
        alt.Chart(frame)
        .mark_area(interpolate="step-after")
        .encode(
            x=alt.X(
                "step:Q", title="Step", scale=alt.Scale(nice=False, zero=False), axis=alt.Axis(format="~s")
            ),
            y=alt.Y(
                "share:Q",
                title="Share of runs",
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5),
            ),
            color=state_colour(n_states),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("state:N"),
                alt.Tooltip("step:Q", format=","),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("n:Q", title="runs"),
            ],
        )
    )
    return alt.LayerChart(layer=[areas], height=height)
