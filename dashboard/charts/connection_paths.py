"""Loss or accuracy along paths between two networks, with the chord between the ends and the barriers."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts import edges
from dashboard.charts.palette import MUTED, WARNING, correction_dash, method_colour

OVERFLOWS = "overflows"


def stretches(paths: pd.DataFrame) -> pd.DataFrame:
    """Return the finite points with a name for each unbroken stretch of a path: no line spans a gap.

    Args:
        paths: path, x, value; in order along each path.
    """
    finite = np.isfinite(paths["value"].to_numpy(float))
    broken = (~finite).astype(int)
    kept: pd.DataFrame = paths.assign(
        stretch=pd.Series(broken, index=paths.index).groupby(paths["path"], sort=False).cumsum()
    )[finite]
    return kept.assign(stretch=kept["path"] + " " + kept["stretch"].astype(str))


def chart(
    paths: pd.DataFrame,
    barriers: pd.DataFrame,
    ends: tuple[str, str],
    y_title: str,
    log: bool = False,
    height: int = 380,
) -> alt.LayerChart:
    """Return the figure.

    Args:
        paths: path, method, correction, x (lambda), value, chord (the straight line of the naive path; NaN
            where an end is not finite).
        barriers: path, method, correction, x, value, chord, told: where each path is farthest from its own
            chord, and its barriers in words.
        ends: what the two networks are called.
        y_title: of the vertical axis, with its unit.
        log: whether the vertical axis is logarithmic.
        height: of the plot, in pixels.
    """
    drawn = stretches(paths)
    drawn = drawn[drawn["value"] > 0] if log else drawn
    low, high = _with_room(*edges.domain(drawn["value"].to_numpy(float), log), log)
    scale = alt.Scale(type="log" if log else "linear", domain=[low, high], nice=False, clamp=True)
    places = edges.ticks(low, high, log)
    y = alt.Y(
        "value:Q", title=y_title, scale=scale,
        axis=alt.Axis(format="~g", titlePadding=10, values=places or alt.Undefined, tickCount=6),
    )  # fmt: skip
    x = alt.X(
        "x:Q", title="λ", scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(format="~g", grid=False)
    )
    methods = list(dict.fromkeys(paths["method"]))
    corrections = list(dict.fromkeys(paths["correction"]))
    colour, dash = method_colour(methods), correction_dash(corrections)
    tooltip = [
        alt.Tooltip("method:N"), alt.Tooltip("correction:N"), alt.Tooltip("x:Q", title="λ", format=".3~f"),
        alt.Tooltip("value:Q", title=y_title, format=".4~g"),
    ]  # fmt: skip
    pick = alt.selection_point(name="shown", fields=["method"], bind="legend")
    faded = alt.condition(pick, alt.value(0.95), alt.value(0.12))
    layers: list[alt.Chart] = []
    chord = paths.loc[paths["chord"].notna(), ["x", "chord"]].drop_duplicates("x")
    if len(chord):
        line = alt.Chart(chord.rename(columns={"chord": "value"}))
        layers.append(
            line.mark_line(color=MUTED, strokeDash=[3, 3], strokeWidth=1.6).encode(
                x=x, y=y, tooltip=[alt.Tooltip("value:Q", title="chord", format=".4~g")]
            )
        )
    layers.append(
        alt.Chart(drawn)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=colour,
            strokeDash=dash,
            detail=alt.Detail("stretch:N"),
            opacity=faded,
            tooltip=tooltip,
        )
        .add_params(pick)
    )
    marks = barriers[np.isfinite(barriers["value"])]
    marks = marks[marks["value"] > 0] if log else marks
    if len(marks):
        layers.append(
            alt.Chart(marks)
            .mark_point(filled=True, size=62)
            .encode(
                x=x,
                y=y,
                color=colour,
                opacity=faded,
                tooltip=[*tooltip, alt.Tooltip("told:N", title="barrier")],
            )
        )
        layers.extend(_bracket(marks, x, y))
    layers.extend(_ends(drawn, ends, x, y, 2 * drawn["value"].median() < low + high))
    lost = paths[~np.isfinite(paths["value"])]
    if len(lost):
        layers.append(
            alt.Chart(lost.assign(kind=OVERFLOWS))
            .mark_point(shape="triangle-up", filled=True, size=60, color=WARNING, opacity=1)
            .encode(
                x=x, y=alt.value(6),
                tooltip=["method:N", "correction:N", alt.Tooltip("x:Q", title="λ", format=".3~f"), "kind:N"],
            )
        )  # fmt: skip
    return alt.LayerChart(layer=layers, height=height)


def _with_room(low: float, high: float, log: bool) -> tuple[float, float]:
    """Return an axis with room for a line of text at both edges."""
    if log:
        room = (high / low) ** 0.07
        return low / room, high * room
    room = (high - low) * 0.07
    return low - room, high + room


def _bracket(marks: pd.DataFrame, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Return the highest barrier drawn as a rule from the chord to the path, with its size in words."""
    drop = (marks["value"] - marks["chord"]).abs()
    if not np.isfinite(drop).any() or drop.max() <= 0:
        return []
    highest = marks.loc[[drop.idxmax()]]
    rule = alt.Chart(highest).mark_rule(color=MUTED, strokeWidth=1.4)
    above = bool((highest["value"] >= highest["chord"]).all())
    text = alt.Chart(highest).mark_text(
        dy=-9 if above else 9, baseline="bottom" if above else "top", fontSize=12, color=MUTED
    )
    return [rule.encode(x=x, y=y, y2=alt.Y2("chord:Q")), text.encode(x=x, y=y, text=alt.Text("told:N"))]


def _ends(drawn: pd.DataFrame, ends: tuple[str, str], x: alt.X, y: alt.Y, on_top: bool) -> list[alt.Chart]:
    """Return a mark at each end of the first path, named in the corner where no path is."""
    layers: list[alt.Chart] = []
    first = drawn[drawn["path"] == drawn["path"].iloc[0]] if len(drawn) else drawn
    for place, name in ((0.0, ends[0]), (1.0, ends[1])):
        at = first[first["x"] == place]
        if at.empty:
            continue
        base = alt.Chart(at[["x", "value"]].assign(network=name))
        told = [alt.Tooltip("network:N"), alt.Tooltip("value:Q", format=".4~g")]
        layers.append(
            base.mark_point(shape="diamond", filled=True, size=110, color=MUTED, opacity=1).encode(
                x=x, y=y, tooltip=told
            )
        )
        layers.append(
            base.mark_text(
                align="left" if place == 0 else "right",
                baseline="bottom",
                dx=8 if place == 0 else -8,
                fontSize=11,
                color=MUTED,
            ).encode(
                x=x,
                y=alt.value(16) if on_top else alt.value(alt.expr("height - 4")),
                text=alt.Text("network:N"),
            )
        )
    return layers
