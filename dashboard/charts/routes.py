"""The ways runs take: one row a sequence of states, with how many runs took it; a click chooses a row."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour, state_name

PICK = "pick"
_ROW = 30
_LEGIBLE = 14
"""States on a route up to which their numbers fit into the blocks."""


def blocks(names: Sequence[str], states: Sequence[Sequence[int]]) -> pd.DataFrame:
    """Return each state of each route: route, row, position, end, state, digit."""
    return pd.DataFrame(
        [
            {"route": name, "row": row, "bottom": row + 0.78, "position": at, "end": at + 0.94,
             "state": state_name(state), "digit": str(state)}
            for row, (name, visited) in enumerate(zip(names, states, strict=True))
            for at, state in enumerate(visited)
        ],
        columns=["route", "row", "bottom", "position", "end", "state", "digit"],
    )  # fmt: skip


def chart(frame: pd.DataFrame, told: pd.DataFrame, picked: str | None, n_states: int) -> alt.LayerChart:
    """Return the figure, with a selection named `PICK` on the field `route`.

    Args:
        frame: of `blocks`.
        told: route, row, length (states on it), text (what is written after it).
        picked: the route that is chosen, which the others step back behind; None for none.
        n_states: how many states the model has, which fixes the colours.
    """
    longest = max(float(told["length"].max()), 1.0)
    pick = alt.selection_point(name=PICK, fields=["route"], toggle=False, empty=False)
    x_scale = alt.Scale(domain=[0, longest * 1.55 + 3.5], nice=False)
    y_scale = alt.Scale(domain=[0, len(told)], nice=False, zero=False, reverse=True)
    x, y = alt.X("position:Q", scale=x_scale, axis=None), alt.Y("row:Q", scale=y_scale, axis=None)
    seen = frame.assign(strength=1.0 if picked is None else (frame["route"] == picked) * 0.72 + 0.28)
    colour = state_colour(n_states, legend=False)  # the blocks hold the numbers
    strength = alt.Opacity("strength:Q", legend=None, scale=None)
    centred = seen.assign(position=seen["position"] + 0.47, row=seen["row"] + 0.4)
    after = told.assign(
        position=told["length"] + 0.15,
        row=told["row"] + 0.4,
        strength=1.0 if picked is None else (told["route"] == picked) * 0.45 + 0.55,
    )
    whole = told.assign(position=0.0, end=x_scale["domain"][1], bottom=told["row"] + 0.9)
    layers = [
        alt.Chart(whole)
        .mark_rect(opacity=0.001, cursor="pointer")
        .encode(
            x=x, x2=alt.X2("end:Q"), y=y, y2=alt.Y2("bottom:Q"),
            tooltip=[alt.Tooltip("route:N"), alt.Tooltip("text:N")],
        )
        .add_params(pick),
        alt.Chart(seen)
        .mark_rect(cornerRadius=3, cursor="pointer", tooltip=None)
        .encode(x=x, x2=alt.X2("end:Q"), y=y, y2=alt.Y2("bottom:Q"), color=colour, opacity=strength),
        alt.Chart(centred)
        .mark_text(fontSize=12 if longest <= _LEGIBLE else 0, fontWeight="bold", color="#FFFFFF")
        .encode(x=x, y=y, text=alt.Text("digit:N"), opacity=strength),
        alt.Chart(after)
        .mark_text(align="left", fontSize=12, color=MUTED)
        .encode(
            x=x, y=y, text=alt.Text("text:N"), opacity=strength,
        ),
    ]  # fmt: skip
    return alt.LayerChart(layer=layers, height=_ROW * len(told) + 20)
