"""How many latent states: held-out likelihood with the one-standard-error rule, BIC, spread of restarts.

Three strips of one plot over one axis, so that the figure takes the width of its container.
"""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING

_STRIPS = ((0.0, 0.46), (0.56, 0.76), (0.86, 1.0))


def chart(table: pd.DataFrame, chosen: int, restarts: pd.DataFrame, height: int = 440) -> alt.LayerChart:
    """Return the figure.

    Args:
        table: n_states, heldout_loglik, heldout_se (nats per observation), bic (nats).
        chosen: the number of states that the rule chose.
        restarts: n_states, shortfall (nats per observation below the best restart, at least 0).
        height: of the plot, in pixels.
    """
    highest = table.iloc[int(table["heldout_loglik"].to_numpy(float).argmax())]
    values = table.assign(
        low=table["heldout_loglik"] - table["heldout_se"],
        high=table["heldout_loglik"] + table["heldout_se"],
        above=table["bic"] - table["bic"].min(),
        role=["chosen" if k == chosen else "tried" for k in table["n_states"]],
    )
    x = alt.X(
        "n_states:O",
        title="Number of states K",
        scale=alt.Scale(domain=sorted(int(k) for k in table["n_states"])),
        axis=alt.Axis(labelAngle=0, grid=False),
    )
    bar = float(highest["heldout_loglik"] - highest["heldout_se"])
    held = _held_out(values, bar, x)
    bic = _bic(values, x)
    spread = _restarts(restarts, x)
    return alt.LayerChart(
        layer=[held, bic, spread], height=height, resolve=alt.Resolve(scale={"y": "independent"})
    )


def _strip(number: int, upwards: bool = True) -> list[alt.ExprRef]:
    top, bottom = (alt.expr(f"height * {share}") for share in _STRIPS[number])
    return [bottom, top] if upwards else [top, bottom]


def _role() -> alt.Color:
    scale = alt.Scale(domain=["chosen", "tried"], range=[WARNING, MUTED])
    return alt.Color("role:N", title=None, legend=None, scale=scale)


def _held_out(values: pd.DataFrame, bar: float, x: alt.X) -> alt.LayerChart:
    upper = alt.Scale(zero=False, range=_strip(0))
    axis = alt.Axis(tickCount=5, orient="left")
    y = alt.Y("heldout_loglik:Q", title="Held-out [nats/obs.]", scale=upper, axis=axis)
    base = alt.Chart(values)
    line = base.mark_line(color=MUTED, strokeWidth=1.4).encode(x=x, y=y)
    ends = alt.Y("low:Q", scale=upper, title="Held-out [nats/obs.]", axis=axis)
    bars = base.mark_rule(strokeWidth=1.6).encode(x=x, y=ends, y2=alt.Y2("high:Q"), color=_role())
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=_role(),
        size=alt.condition("datum.role == 'chosen'", alt.value(120), alt.value(55)),
        tooltip=[
            alt.Tooltip("n_states:O", title="K"),
            alt.Tooltip("heldout_loglik:Q", title="held-out [nats/obs.]", format=".4~f"),
            alt.Tooltip("heldout_se:Q", title="standard error", format=".2~g"),
            alt.Tooltip("train_loglik:Q", title="training [nats/obs.]", format=".4~f"),
            alt.Tooltip("parameters:Q", format=","),
        ],
    )
    rule = alt.Chart(pd.DataFrame({"bar": [bar]}))
    at = alt.Y("bar:Q", scale=upper, title="Held-out [nats/obs.]", axis=axis)
    within = rule.mark_rule(color=WARNING, strokeDash=[5, 4], strokeWidth=1.4).encode(y=at)
    text = rule.mark_text(
        align="left", baseline="bottom", dx=4, dy=-3, fontSize=11, color=WARNING,
        text="highest less its standard error",
    ).encode(x=alt.value(0), y=at)  # fmt: skip
    return alt.LayerChart(layer=[within, text, line, bars, points])


def _bic(values: pd.DataFrame, x: alt.X) -> alt.LayerChart:
    y = alt.Y(
        "above:Q",
        title="BIC above least",
        scale=alt.Scale(range=_strip(1), zero=True),
        axis=alt.Axis(tickCount=3, labelExpr="format(datum.value, '~s')", orient="left"),
    )
    base = alt.Chart(values)
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=_role(),
        size=alt.condition("datum.role == 'chosen'", alt.value(120), alt.value(55)),
        tooltip=[
            alt.Tooltip("n_states:O", title="K"),
            alt.Tooltip("bic:Q", title="BIC [nats]", format=",.0f"),
            alt.Tooltip("above:Q", title="above the least", format=",.0f"),
        ],
    )
    return alt.LayerChart(layer=[base.mark_line(color=MUTED, strokeWidth=1.4).encode(x=x, y=y), points])


def _restarts(restarts: pd.DataFrame, x: alt.X) -> alt.Chart:
    most = max(float(restarts["shortfall"].max()), 1e-6) if len(restarts) else 1.0
    behind = alt.Y(
        "shortfall:Q",
        title="Restarts",
        scale=alt.Scale(domain=[0, most * 1.15], nice=False, range=_strip(2, upwards=False)),
        axis=alt.Axis(
            tickCount=2, format="~g", orient="left", labelExpr="datum.value == 0 ? 'best' : '−' + datum.label"
        ),
    )
    tooltip = [
        alt.Tooltip("n_states:O", title="K"),
        alt.Tooltip("shortfall:Q", title="below the best [nats/obs.]", format=".3~g"),
    ]
    mark = alt.Chart(restarts).mark_tick(thickness=1.6, width=18, color=MUTED)
    drawn: alt.Chart = mark.encode(x=x, y=behind, tooltip=tooltip)
    return drawn
