"""What the orders of a data set do to the full-batch risk: the slope of each, from the steepest down.

Every batching is a bar as wide as its share of the orders; the strip below says what becomes of them.
"""

import altair as alt
import pandas as pd

from dashboard.charts.order_slopes import VERDICTS
from dashboard.charts.palette import MUTED

RANKS = ("GD risk diverges", "no divergence", "bounded")
_ON = {"GD risk diverges": "#FFFFFF", "bounded": "#14181F", "no divergence": "#FFFFFF"}
_STRIP, _GAP = 22, 8
_LETTER_SHARE = 0.011
"""About how much of the figure's width a letter of the strip takes."""


def chart(outcomes: pd.DataFrame, height: int = 330) -> alt.LayerChart:
    """Return the figure; a pale bar comes with a caution, a triangle marks a slope without a known size.

    Args:
        outcomes: one row a batching, sorted: first, last (share of the orders, 0 to 1), verdict, slope [nats
            per ln step] (NaN where it has no known size), margin, orders, doubtful.
        height: of the plot, in pixels.
    """
    most = float(outcomes["slope"].max()) if outcomes["slope"].notna().any() else 0.0
    top = 1.06 * most if most > 0 else 1.0
    x = alt.X(
        "first:Q",
        title="Share of the orders, from the steepest slope down",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(format="%", tickCount=10, grid=False),
    )
    y = alt.Y(
        "slope:Q",
        title="Slope [nats per ln step]",
        scale=alt.Scale(domain=[0, top], nice=False, range=[alt.expr(f"height - {_STRIP + _GAP}"), 0]),
        axis=alt.Axis(tickCount=5),
    )
    shown = [kind for kind in RANKS if kind in set(outcomes["verdict"])]
    colour = alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=shown, range=[VERDICTS[kind] for kind in shown]),
        legend=alt.Legend(orient="top", symbolType="square", symbolOpacity=1, symbolStrokeWidth=0, offset=4),
    )
    # One legend; the words in the strip have colours of their own, so that the layers share no scale.
    plain = alt.Color("verdict:N", scale=colour["scale"], legend=None)
    tooltip = [
        alt.Tooltip("verdict:N"),
        alt.Tooltip("slope:Q", title="slope [nats per ln step]", format=".3~g"),
        alt.Tooltip("margin:Q", format=".3~g"),
        alt.Tooltip("orders:Q", format=",", title="orders"),
        alt.Tooltip("batches:N"),
    ]
    growing = outcomes[outcomes["slope"] > 0].assign(zero=0.0)
    endless = outcomes[outcomes["slope"].isna()]
    endless = endless.assign(middle=(endless["first"] + endless["last"]) / 2)
    strip = runs(outcomes)
    bars = (
        alt.Chart(growing)
        .mark_rect(stroke=VERDICTS["GD risk diverges"], strokeWidth=0.6)  # closes the seams between bars
        .encode(
            x=x, x2=alt.X2("last:Q"), y=y, y2=alt.Y2("zero:Q"), color=plain, tooltip=tooltip,
            opacity=alt.condition("datum.doubtful", alt.value(0.45), alt.value(0.92)),
        )
    )  # fmt: skip
    marks = (
        alt.Chart(endless)
        .mark_point(shape="triangle-up", filled=True, size=70, opacity=1)
        .encode(
            x=alt.X("middle:Q", title=x["title"], scale=x["scale"], axis=x["axis"]),
            y=alt.value(6), color=plain, tooltip=[tooltip[0], *tooltip[2:]],
        )
    )  # fmt: skip
    band = (
        alt.Chart(strip)
        .mark_rect()
        .encode(
            x=x, x2=alt.X2("last:Q"), y=alt.value(alt.expr(f"height - {_STRIP}")),
            y2=alt.value(alt.expr("height")),
            color=colour,
            tooltip=[alt.Tooltip("verdict:N"), alt.Tooltip("share:Q", format=".1%", title="share of orders")],
        )
    )  # fmt: skip
    told = (
        alt.Chart(strip[strip["told"] != ""])
        .mark_text(fontSize=11, baseline="middle")
        .encode(
            x=alt.X("middle:Q", title=x["title"], scale=x["scale"], axis=x["axis"]),
            y=alt.value(alt.expr(f"height - {_STRIP / 2}")),
            text=alt.Text("told:N"),
            color=alt.Color("ink:N", scale=None, legend=None),
        )
    )
    base = alt.Chart(pd.DataFrame({"slope": [0.0]})).mark_rule(color=MUTED, strokeWidth=1).encode(y=y)
    # A layer without rows would be drawn with those of another.
    rows = ((bars, growing), (marks, endless), (band, strip), (told, strip[strip["told"] != ""]))
    return alt.LayerChart(
        layer=[base, *(layer for layer, frame in rows if len(frame))],
        height=height,
        resolve=alt.Resolve(scale={"color": "independent"}),
    )


def runs(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Return the stretches of one verdict, with the words that have room in them.

    Returns:
        verdict, first, last, middle, share (of the orders), told (nothing where there is no room), ink.
    """
    found = (
        outcomes.groupby((outcomes["verdict"] != outcomes["verdict"].shift()).cumsum())
        .agg(verdict=("verdict", "first"), first=("first", "min"), last=("last", "max"))
        .reset_index(drop=True)
    )
    found["share"] = (found["last"] - found["first"]).round(12)
    found["middle"] = (found["last"] + found["first"]) / 2
    told = [f"{row.verdict} · {row.share:.1%}" for row in found.itertuples()]
    found["told"] = [
        long if len(long) * _LETTER_SHARE < share else short if len(short) * _LETTER_SHARE < share else ""
        for long, short, share in zip(
            told, (f"{share:.1%}" for share in found["share"]), found["share"], strict=True
        )
    ]
    return found.assign(ink=found["verdict"].map(_ON))
