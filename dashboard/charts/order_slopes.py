"""The slope of the full-batch risk of each seed: predicted from its order against measured in its run."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED

VERDICTS = {"GD risk diverges": "#AA3377", "no divergence": "#4477AA", "bounded": "#999933"}
_MARKS = {"GD risk diverges": "circle", "no divergence": "square", "bounded": "diamond"}
_TITLE = {
    "predicted": "Predicted slope [nats per ln step]",
    "measured": "Measured slope [nats per ln step]",
}


def chart(slopes: pd.DataFrame, height: int = 300) -> alt.LayerChart:
    """Return the figure; on the diagonal a prediction is met, and hollow marks come with a caution.

    Args:
        slopes: seed, predicted, measured, verdict, caution (why a prediction may fail, or nothing).
        height: of the plot, in pixels.
    """
    ends = slopes[["predicted", "measured"]].to_numpy(float)
    low, high = min(float(ends.min()), 0.0), max(float(ends.max()), 0.01)
    pad = 0.05 * (high - low)
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False)
    x = alt.X("predicted:Q", title=_TITLE["predicted"], scale=scale)
    y = alt.Y("measured:Q", title=_TITLE["measured"], scale=scale)
    shown = [kind for kind in VERDICTS if kind in set(slopes["verdict"])]
    colour = alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=shown, range=[VERDICTS[kind] for kind in shown]),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )
    shape = alt.Shape(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=shown, range=[_MARKS[kind] for kind in shown]),
        legend=alt.Legend(orient="top", symbolOpacity=1),
    )
    diagonal = pd.DataFrame({"predicted": [low, high], "measured": [low, high]})
    tooltip = [
        alt.Tooltip("seed:Q"),
        alt.Tooltip("predicted:Q", format=".3~g"),
        alt.Tooltip("measured:Q", format=".3~g"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("caution:N"),
    ]
    sure = slopes["caution"] == ""
    layers = [
        alt.Chart(diagonal).mark_line(color=MUTED, strokeDash=[4, 3], strokeWidth=1.4).encode(x=x, y=y),
        alt.Chart(slopes[sure])
        .mark_point(filled=True, size=64, opacity=0.85)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
        alt.Chart(slopes[~sure])
        .mark_point(filled=False, size=64, strokeWidth=1.6, opacity=0.9)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    ]
    return alt.LayerChart(layer=layers, height=height)
