"""The transition graph: states in order of first visit, forward moves arch above, returns below."""

import json

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import MUTED, STATES, state_colour, state_name

LEAST = 0.02
_POINTS = 24


def edges(transmat: np.ndarray) -> pd.DataFrame:
    """Return the moves between different states: source, target, probability that a departure goes there.

    A departure from state i goes to j with probability A_ij / (1 - A_ii).
    """
    rows = []
    for i, row in enumerate(transmat):
        leaving = 1.0 - row[i]
        for j, probability in enumerate(row):
            if i != j and leaving > 1e-9 and probability / leaving >= LEAST:
                rows.append({"source": i, "target": j, "probability": float(probability / leaving)})
    return pd.DataFrame(rows, columns=["source", "target", "probability"])


def chart(
    transmat: np.ndarray,
    occupancy: np.ndarray,
    moves: pd.DataFrame,
    picked: tuple[int, int] | None = None,
    height: int = 260,
) -> alt.LayerChart:
    """Return the figure.

    Args:
        transmat: [K, K] transition probabilities from one measured point to the next.
        occupancy: [K] share of all measured points spent in each state.
        moves: source, target, probability of the moves that are drawn; perhaps count, low, high.
        picked: the move that stands out, in the colour of the state it enters.
        height: of the plot, in pixels.
    """
    n_states = len(transmat)
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-0.6, n_states - 0.4], nice=False))
    returns = bool((moves["target"] < moves["source"]).any())
    low = -1.25 if returns else -0.35
    height = height if returns else round(height * (1.25 - low) / 2.5)
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[low, 1.25], nice=False))
    layers: list[alt.Chart] = []
    if len(moves):
        curves, heads, labels = _arcs(moves, n_states)
        named = "" if picked is None else _name(*picked)
        stroke = STATES[picked[1] % len(STATES)] if picked else MUTED
        colour = alt.condition(f"datum.move == {json.dumps(named)}", alt.value(stroke), alt.value(MUTED))
        width = alt.StrokeWidth("probability:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.6, 5]))
        tooltip = [alt.Tooltip("move:N"), alt.Tooltip("told:N", title="probability")]
        heads_at = alt.Chart(heads).mark_point(shape="triangle-right", filled=True, size=110, opacity=1)
        layers += [
            alt.Chart(curves)
            .mark_line(opacity=0.75)
            .encode(
                x=x,
                y=y,
                detail=alt.Detail("move:N"),
                order=alt.Order("order:Q"),
                strokeWidth=width,
                color=colour,
                tooltip=tooltip,
            ),
            heads_at.encode(x=x, y=y, color=colour, angle=alt.Angle("angle:Q", scale=None), tooltip=tooltip),
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
        .encode(x=x, y=y, text=alt.Text("label:N"))
    )
    return alt.LayerChart(layer=layers, height=height)


def _name(source: int, target: int) -> str:
    return f"{state_name(source)} to {state_name(target)}"


def _arcs(moves: pd.DataFrame, n_states: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return each move's curve, the arrow head at its middle and its label beside it."""
    curves, heads, labels = [], [], []
    t = np.linspace(0, np.pi, _POINTS)
    for move in moves.to_dict("records"):
        source, target, probability = int(move["source"]), int(move["target"]), float(move["probability"])
        told = f"{probability:.2f}"
        if "low" in move:
            told += f" [{move['low']:.2f}, {move['high']:.2f}], {int(move['count'])} times"
        forward = 1.0 if target > source else -1.0
        rise = forward * (0.3 + 0.8 * abs(target - source) / max(n_states - 1, 1))
        name = _name(source, target)
        middle = (source + target) / 2
        xs = middle - (target - source) / 2 * np.cos(t)
        ys = rise * np.sin(t)
        curves.append(
            pd.DataFrame(
                {
                    "x": xs,
                    "y": ys,
                    "order": range(_POINTS),
                    "move": name,
                    "probability": probability,
                    "told": told,
                }
            )
        )
        heads.append(
            {
                "x": middle,
                "y": rise,
                "angle": 0 if forward > 0 else 180,
                "move": name,
                "probability": probability,
                "told": told,
            }
        )
        labels.append({"x": middle, "y": rise + 0.13 * forward, "probability": probability})
    return pd.concat(curves, ignore_index=True), pd.DataFrame(heads), pd.DataFrame(labels)
