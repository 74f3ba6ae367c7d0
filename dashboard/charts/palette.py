"""The colours: one for each arm and one for each latent state, the same in every figure.

Arms take the colours of the theme by their place in the study, so that they follow light and dark by
themselves; a state keeps one colour that is readable on both. Both sets stay apart under deuteranopia,
protanopia and tritanopia, and no figure tells two things apart by colour alone.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

ARMS_LIGHT = (
    "#1268B3", "#D1570C", "#0B8566", "#A4508B", "#7C6A0A",
    "#2C9CC4", "#6A51C7", "#6B7480", "#B02A55", "#4F7F1A",
)  # fmt: skip
ARMS_DARK = (
    "#5AAEF0", "#F58B4C", "#43C59E", "#DB90C8", "#CDB94B",
    "#7AD3F2", "#A896F5", "#A6B0BD", "#F07E9E", "#9CC85A",
)  # fmt: skip
# After Paul Tol's qualitative schemes, ordered so that neighbours in time differ most.
STATES = (
    "#4477AA", "#DDAA33", "#AA3377", "#44BB99", "#EE6677",
    "#66CCEE", "#8A6FBF", "#999933", "#EE8866", "#8795A6", "#AF25F4", "#7A4C1F",
)  # fmt: skip
MUTED = "#8490A0"
"""Axes, rules and everything that is not data: readable on both backgrounds."""

WARNING = "#C8552B"

# Ways from one network to another, apart from each other on both backgrounds; the first is "as they are".
METHODS = {
    "naive": "#C75B6B", "weights": "#2A978A", "activations": "#A1841F", "ste": "#A455A8",
    "bezier": "#5F87C7", "polyline": "#8A7666", "mean": "#2A978A", "cycle": "#A455A8",
    "ensemble": "#5F87C7", "member": MUTED,
}  # fmt: skip
METHOD_NAMES = {
    "naive": "naive", "weights": "weight matching", "activations": "activation matching",
    "ste": "straight-through", "bezier": "Bezier curve", "polyline": "polyline",
    "mean": "matched to the mean", "cycle": "cycle-consistent", "ensemble": "ensemble", "member": "members",
}  # fmt: skip
CORRECTIONS = {
    "none": (1, 0), "repair": (7, 3), "rescale": (2, 2), "reshift": (9, 3, 2, 3), "reset": (4, 2),
}  # fmt: skip
"""The stroke of each correction of a merge."""
CORRECTION_NAMES = {
    "none": "not corrected", "repair": "REPAIR", "rescale": "RESCALE", "reshift": "RESHIFT", "reset": "RESET",
}  # fmt: skip


# A stroke for every round of the colours: with more arms than colours, a colour alone would name several.
_DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3))
_LETTER, _SYMBOL = 6.6, 36.0
"""About how wide a letter of a legend and a symbol with its gaps are, in pixels."""


def arm_colour(
    arms: Sequence[str], shown: Sequence[str], legend: bool = True, width: float = 760
) -> alt.Color:
    """Return the colour encoding of the field `arm`.

    Args:
        arms: every arm of the study in the study's order, which fixes the colours.
        shown: the arms that are drawn, which is what the legend lists.
        legend: whether to draw one.
        width: about how wide the figure is, in pixels: a legend that is wider goes on in another row.
    """
    scale = alt.Scale(domain=list(arms))
    return alt.Color("arm:N", title=None, scale=scale, legend=_legend(arms, shown, legend, width))


def arm_dash(
    arms: Sequence[str], shown: Sequence[str], legend: bool = True, width: float = 760
) -> dict[str, alt.StrokeDash]:
    """Return the stroke of the field `arm` beside :func:`arm_colour`; nothing where colours suffice."""
    if len(arms) <= len(ARMS_LIGHT):
        return {}
    rounds = [_DASHES[place // len(ARMS_LIGHT) % len(_DASHES)] for place in range(len(arms))]
    scale = alt.Scale(domain=list(arms), range=[list(one) for one in rounds])
    drawn = _legend(arms, shown, legend, width)
    return {"strokeDash": alt.StrokeDash("arm:N", title=None, scale=scale, legend=drawn)}


def _legend(arms: Sequence[str], shown: Sequence[str], legend: bool, width: float) -> alt.Legend | None:
    drawn = [arm for arm in arms if arm in set(shown)]
    if not legend or len(drawn) < 2:
        return None
    widest = _SYMBOL + _LETTER * max(map(len, drawn))
    wraps = sum(_SYMBOL + _LETTER * len(arm) for arm in drawn) > width
    return alt.Legend(
        orient="top", values=drawn, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, offset=4,
        columns=max(1, int(width // widest)) if wraps else alt.Undefined,
    )  # fmt: skip


def method_colour(shown: Sequence[str], legend: bool = True, inside: bool = False) -> alt.Color:
    """Return the colour encoding of the field `method`, one colour for each in every figure.

    Args:
        shown: the methods that are drawn, by what figures call them.
        legend: whether to draw one.
        inside: whether it stands in the plot, at the lower left, where a narrow plot has room.
    """
    called = {METHOD_NAMES[name]: colour for name, colour in METHODS.items()}
    place: dict[str, Any] = {"orient": "top", "columns": 4}
    if inside:
        place = {"orient": "bottom-left", "direction": "vertical"}
    drawn = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, offset=4, **place)
    scale = alt.Scale(domain=list(shown), range=[called[name] for name in shown])
    return alt.Color("method:N", title=None, scale=scale, legend=drawn if legend and len(shown) > 1 else None)


def correction_dash(shown: Sequence[str], legend: bool = True) -> alt.StrokeDash:
    """Return the stroke of the field `correction`, one for each in every figure; see `method_colour`."""
    called = {CORRECTION_NAMES[name]: dash for name, dash in CORRECTIONS.items()}
    return alt.StrokeDash(
        "correction:N", title=None,
        scale=alt.Scale(domain=list(shown), range=[list(called[name]) for name in shown]),
        legend=alt.Legend(
            orient="top", symbolType="stroke", symbolStrokeWidth=2, symbolSize=260, symbolOpacity=1,
            symbolStrokeColor=MUTED, offset=4, columns=5,
        ) if legend and len(shown) > 1 else None,
    )  # fmt: skip


def state_name(state: int) -> str:
    """Return what a state is called: "State 0" is the one that runs visit first on average."""
    return f"State {state}"


def state_colour(n_states: int, legend: bool = True) -> alt.Color:
    """Return the colour encoding of the field `state`, which holds names such as "State 1"."""
    return alt.Color(
        "state:N",
        title=None,
        scale=alt.Scale(
            domain=[state_name(state) for state in range(n_states)],
            range=[STATES[state % len(STATES)] for state in range(n_states)],
        ),
        legend=alt.Legend(
            orient="top",
            title="State",
            titleOrient="left",
            labelExpr="replace(datum.label, 'State ', '')",
            symbolType="square",
            symbolOpacity=1,
            offset=4,
            columns=6 if n_states > 8 else alt.Undefined,
        )
        if legend
        else None,
    )


def export_config() -> dict[str, Any]:
    """Return the Vega-Lite configuration of an exported figure: what the page shows in light mode."""
    grey, line = "#4A5563", "#E4E8ED"
    return {
        "background": "#FFFFFF",
        "range": {"category": list(ARMS_LIGHT)},
        "view": {"stroke": None},
        "axis": {
            "labelColor": grey, "titleColor": grey, "gridColor": line, "domainColor": "#C3CAD3",
            "tickColor": "#C3CAD3", "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal",
        },
        "legend": {"labelColor": grey, "titleColor": grey, "labelFontSize": 12},
        "font": "Source Sans 3, Source Sans Pro, Helvetica, Arial, sans-serif",
    }  # fmt: skip
