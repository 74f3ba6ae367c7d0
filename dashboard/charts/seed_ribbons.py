"""A ribbon of states for each run, earliest convergence on top, with a mark where it converged."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, state_colour
from dashboard.charts.ribbons import row_axis, shade, told

PICK = "pick"
_ROW, _LEAST_ROW, _HEIGHT = 18.0, 10.0, 560.0
"""Height of a ribbon with its gap, as it is and at the least, and of all of them before they get lower."""


def chart(ribbons: pd.DataFrame, ends: pd.DataFrame, picked: str | None, n_states: int) -> alt.LayerChart:
    """Return the figure, with a selection named `PICK` on the field `run`.

    Args:
        ribbons: run, start, end, state, confidence.
        ends: run, row label, converged_at (NaN: never), from top to bottom.
        picked: the run that is chosen; None for none.
        n_states: how many states the model has, which fixes the colours.
    """
    names = ends["run"].to_list()
    place = {name: row for row, name in enumerate(names)}
    at = ribbons["run"].map(place)
    placed = ribbons.assign(top=at, bottom=at + 0.84)
    row = max(min(_ROW, _HEIGHT / max(len(names), 1)), _LEAST_ROW)
    pick = alt.selection_point(name=PICK, fields=["run"], toggle=False, empty=False)
    x_scale = alt.Scale(
        domain=[float(ribbons["start"].min()), float(ribbons["end"].max())], nice=False, zero=False
    )
    x = alt.X("start:Q", title="Step", scale=x_scale, axis=alt.Axis(format="~s", grid=False, tickCount=6))
    y_scale = alt.Scale(domain=[0, len(names)], nice=False, zero=False, reverse=True)
    y = alt.Y(
        "top:Q",
        title=None,
        scale=y_scale,
        axis=row_axis(ends["label"].to_list()),
    )
    marks = ends.assign(start=ends["converged_at"], top=ends["run"].map(place) + 0.42)
    chosen = pd.DataFrame({"top": [place[picked] - 0.02]} if picked in place else {"top": []}, dtype=float)
    chosen = chosen.assign(
        bottom=chosen["top"] + 0.88, start=float(x_scale["domain"][0]), end=float(x_scale["domain"][1])
    )
    layers = [
        alt.Chart(placed)
        .mark_rect(cursor="pointer")
        .encode(
            x=x,
            x2=alt.X2("end:Q"),
            y=y,
            y2=alt.Y2("bottom:Q"),
            color=state_colour(n_states),
            opacity=shade(),
            tooltip=[alt.Tooltip("run:N"), *told()],
        )
        .add_params(pick),
        alt.Chart(marks[marks["start"].notna()])
        .mark_point(
            shape="triangle-down", filled=True, size=62, color="#1B212B", stroke="#FFFFFF", strokeWidth=1,
            opacity=1,
        )
        .encode(
            x=x, y=y, tooltip=[alt.Tooltip("run:N"), alt.Tooltip("start:Q", title="converged", format=",")]
        ),
        alt.Chart(chosen)
        .mark_rect(filled=False, stroke=MUTED, strokeWidth=2)
        .encode(x=x, x2=alt.X2("end:Q"), y=y, y2=alt.Y2("bottom:Q")),
    ]  # fmt: skip
    return alt.LayerChart(layer=layers, height=round(max(row * len(names), 36.0)) + 74)
