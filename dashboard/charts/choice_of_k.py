"""How many latent states: held-out likelihood with its standard error, and how far restarts fall short."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING


def chart(table: pd.DataFrame, chosen: int, restarts: pd.DataFrame, height: int = 190) -> alt.VConcatChart:
    """Return the figure.

    Args:
        table: n_states, heldout_loglik, heldout_se (nats per observation).
        chosen: the number of states that the rule chose.
        restarts: n_states, shortfall (nats per observation below the best restart, at least 0), converged.
        height: of the upper panel, in pixels.
    """
    values = table.assign(
        low=table["heldout_loglik"] - table["heldout_se"],
        high=table["heldout_loglik"] + table["heldout_se"],
        role=["chosen" if k == chosen else "tried" for k in table["n_states"]],
    )
    states = sorted(int(k) for k in table["n_states"])
    x = alt.X(
        "n_states:O", title="Number of states K", scale=alt.Scale(domain=states), axis=alt.Axis(labelAngle=0)
    )
    hidden = alt.X(
        "n_states:O", title=None, scale=alt.Scale(domain=states), axis=alt.Axis(labels=False, ticks=False)
    )
    y = alt.Y(
        "heldout_loglik:Q",
        title="Held-out, nats/obs.",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(tickCount=5),
    )
    role = alt.Color(
        "role:N", title=None, legend=None, scale=alt.Scale(domain=["chosen", "tried"], range=[WARNING, MUTED])
    )
    base = alt.Chart(values)
    line = base.mark_line(color=MUTED, strokeWidth=1.4).encode(x=hidden, y=y)
    bars = base.mark_rule(strokeWidth=1.6).encode(
        x=hidden, y=alt.Y("low:Q", scale=alt.Scale(zero=False)), y2="high:Q", color=role
    )
    points = base.mark_point(filled=True, opacity=1).encode(
        x=hidden,
        y=y,
        color=role,
        size=alt.condition("datum.role == 'chosen'", alt.value(120), alt.value(55)),
        tooltip=[
            alt.Tooltip("n_states:O", title="K"),
            alt.Tooltip("heldout_loglik:Q", title="held-out [nats/obs.]", format=".4~f"),
            alt.Tooltip("heldout_se:Q", title="standard error", format=".2~g"),
        ],
    )
    spread = (
        alt.Chart(restarts)
        .mark_tick(thickness=1.6, width=16, color=MUTED)
        .encode(
            x=x,
            y=alt.Y(
                "shortfall:Q",
                title="Restarts below best",
                scale=alt.Scale(zero=True, reverse=True),
                axis=alt.Axis(tickCount=3),
            ),
            tooltip=[alt.Tooltip("n_states:O", title="K"), alt.Tooltip("shortfall:Q", format=".3~g")],
        )
        .properties(height=80)
    )
    upper = alt.layer(line, bars, points).properties(height=height)
    return alt.vconcat(upper, spread, spacing=8).resolve_scale(x="independent", y="independent")
