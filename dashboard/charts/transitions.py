"""The transition graph: states in order of first visit, forward moves arch above, returns below."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour, state_name

_LEAST = 0.02
_POINTS = 24


def edges(transmat: np.ndarray) -> pd.DataFrame:
    """Return the moves between different states: source, target, probability that a departure goes there.

    A departure from state i goes to j with probability A_ij / (1 - A_ii).
    """
    rows = []
    for i, row in enumerate(transmat):
        leaving = 1.0 - row[i]
        for j, probability in enumerate(row):
            if i != j and leaving > 1e-9 and probability / leaving >= _LEAST:
                rows.append({"source": i, "target": j, "probability": float(probability / leaving)})
    return pd.DataFrame(rows, columns=["source", "target", "probability"])


def chart(transmat: np.ndarray, occupancy: np.ndarray, height: int = 250) -> alt.LayerChart:
    """Return the figure.

    Args:
        transmat: [K, K] transition probabilities from one measured point to the next.
        occupancy: [K] share of all measured points spent in each state.
        height: of the plot, in pixels.
    """
    n_states = len(transmat)
    moves = edges(transmat)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.6, n_states - 0.4], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-1.25, 1.25], nice=False))
    layers: list[alt.Chart] = []
    if len(moves):
        curves, heads, labels = _arcs(moves, n_states)
        width = alt.StrokeWidth("probability:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.6, 5]))
        tooltip = [alt.Tooltip("move:N"), alt.Tooltip("probability:Q", format=".2f")]
        heads_at = alt.Chart(heads).mark_point(
            shape="triangle-right", filled=True, size=110, color=MUTED, opacity=1
        )
        layers += [
            alt.Chart(curves)
            .mark_line(color=MUTED, opacity=0.75)
            .encode(x=x, y=y, detail="move:N", order="order:Q", strokeWidth=width, tooltip=tooltip),
            heads_at.encode(x=x, y=y, angle=alt.Angle("angle:Q", scale=None), tooltip=tooltip),
            alt.Chart(labels)
            .mark_text(fontSize=11, color=MUTED)
            .encode(x=x, y=y, text=alt.Text("probability:Q", format=".2f")),
        ]
    nodes = pd.DataFrame(
        {
            "x": np.arange(n_states, dtype=float),
            "y": 0.0,
            "state": [state_name(state) for state in range(n_states)],
            "label": [str(state) for state in range(n_states)],
            "occupancy": occupancy,
            "stays": np.diag(transmat),
        }
    )
    layers.append(
        alt.Chart(nodes)
        .mark_point(filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=state_colour(n_states),
            size=alt.Size("occupancy:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[420, 2200])),
            tooltip=[
                alt.Tooltip("state:N"),
                alt.Tooltip("occupancy:Q", title="share of points", format=".1%"),
                alt.Tooltip("stays:Q", title="stays at the next point", format=".3f"),
            ],
        )
    )
    layers.append(
        alt.Chart(nodes)
        .mark_text(fontSize=13, fontWeight="bold", color="#FFFFFF")
        .encode(x=x, y=y, text="label:N")
    )
    return alt.LayerChart(layer=layers, height=height)


def _arcs(moves: pd.DataFrame, n_states: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return each move's curve, the arrow head at its middle and its label beside it."""
    curves, heads, labels = [], [], []
    t = np.linspace(0, np.pi, _POINTS)
    for source, target, probability in zip(
        moves["source"].to_list(), moves["target"].to_list(), moves["probability"].to_list(), strict=True
    ):
        forward = 1.0 if target > source else -1.0
        rise = forward * (0.3 + 0.8 * abs(target - source) / max(n_states - 1, 1))
        name = f"{state_name(source)} to {state_name(target)}"
        middle = (source + target) / 2
        xs = middle - (target - source) / 2 * np.cos(t)
        ys = rise * np.sin(t)
        curves.append(
            pd.DataFrame(
                {"x": xs, "y": ys, "order": range(_POINTS), "move": name, "probability": probability}
            )
        )
        heads.append(
            {
                "x": middle,
                "y": rise,
                "angle": 0 if forward > 0 else 180,
                "move": name,
                "probability": probability,
            }
        )
        labels.append({"x": middle, "y": rise + 0.13 * forward, "probability": probability})
    return pd.concat(curves, ignore_index=True), pd.DataFrame(heads), pd.DataFrame(labels)
