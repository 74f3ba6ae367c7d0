"""How many latent states: held-out likelihood with its standard error, and how far restarts fall short."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING


def chart(table: pd.DataFrame, chosen: int, restarts: pd.DataFrame, height: int = 360) -> alt.LayerChart:
    """Return the figure.

    Args:
        table: n_states, heldout_loglik, heldout_se (nats per observation).
        chosen: the number of states that the rule chose.
        restarts: n_states, shortfall (nats per observation below the best restart, at least 0), converged.
        height: of the plot, in pixels.
    """
    values = table.assign(
        low=table["heldout_loglik"] - table["heldout_se"],
        high=table["heldout_loglik"] + table["heldout_se"],
        role=["chosen" if k == chosen else "tried" for k in table["n_states"]],
    )
    states = sorted(int(k) for k in table["n_states"])
    x = alt.X(
        "n_states:O",
        title="Number of states K",
        scale=alt.Scale(domain=states),
        axis=alt.Axis(labelAngle=0, grid=False),
    )
    upper = alt.Scale(zero=False, range=[alt.expr("height * 0.62"), 0])
    y = alt.Y(
        "heldout_loglik:Q",
        title="Held-out [nats/obs.]",
        scale=upper,
        axis=alt.Axis(tickCount=5, orient="left"),
    )
    role = alt.Color(
        "role:N", title=None, legend=None, scale=alt.Scale(domain=["chosen", "tried"], range=[WARNING, MUTED])
    )
    base = alt.Chart(values)
    line = base.mark_line(color=MUTED, strokeWidth=1.4).encode(x=x, y=y)
    bars = base.mark_rule(strokeWidth=1.6).encode(x=x, y=alt.Y("low:Q", scale=upper), y2="high:Q", color=role)
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=role,
        size=alt.condition("datum.role == 'chosen'", alt.value(120), alt.value(55)),
        tooltip=[
            alt.Tooltip("n_states:O", title="K"),
            alt.Tooltip("heldout_loglik:Q", title="held-out [nats/obs.]", format=".4~f"),
            alt.Tooltip("heldout_se:Q", title="standard error", format=".2~g"),
        ],
    )
    most = max(float(restarts["shortfall"].max()), 1e-6) if len(restarts) else 1.0
    behind = alt.Y(
        "shortfall:Q",
        title="Restarts",
        scale=alt.Scale(
            domain=[0, most * 1.15], nice=False, range=[alt.expr("height * 0.74"), alt.expr("height")]
        ),
        axis=alt.Axis(
            tickCount=3, format="~g", orient="left", labelExpr="datum.value == 0 ? 'best' : '−' + datum.label"
        ),
    )
    spread = (
        alt.Chart(restarts)
        .mark_tick(thickness=1.6, width=18, color=MUTED)
        .encode(
            x=x,
            y=behind,
            tooltip=[
                alt.Tooltip("n_states:O", title="K"),
                alt.Tooltip("shortfall:Q", title="below the best [nats/obs.]", format=".3~g"),
            ],
        )
    )
    seen = alt.LayerChart(layer=[line, bars, points])
    return alt.LayerChart(
        layer=[seen, spread], height=height, resolve=alt.Resolve(scale={"y": "independent"})
    )
