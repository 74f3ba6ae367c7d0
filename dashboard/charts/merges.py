"""Several networks averaged into one: a line for each way, beside the members and their ensemble."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import METHOD_NAMES, METHODS, WARNING

ORDER = ("member", "ensemble", "naive", "mean", "cycle")


def chart(rows: pd.DataFrame, title: str, share: bool, height: int = 230) -> alt.LayerChart:
    """Return one panel.

    Args:
        rows: what (one of `ORDER`), called, value, text; members have several rows.
        title: of the horizontal axis, with its unit.
        share: whether values are shares from 0 to 1.
        height: of the plot, in pixels.
    """
    present = [name for name in ORDER if name in set(rows["what"])]
    called = [METHOD_NAMES[name] for name in present]
    finite = np.isfinite(rows["value"].astype(float))
    drawn = rows[finite]
    top = 1.0 if share else max(float(drawn["value"].max()) * 1.14 if len(drawn) else 1.0, 1e-12)
    x = alt.X(
        "value:Q", title=title, scale=alt.Scale(domain=[0, top], nice=False),
        axis=alt.Axis(format="%" if share else "~g", tickCount=5),
    )  # fmt: skip
    y = alt.Y(
        "called:N", title=None, sort=called, scale=alt.Scale(domain=called),
        axis=alt.Axis(ticks=False, domain=False, grid=False, labelLimit=170),
    )  # fmt: skip
    colour = alt.Color(
        "called:N", scale=alt.Scale(domain=called, range=[METHODS[name] for name in present]), legend=None
    )
    single = drawn[drawn["what"] != "member"]
    tooltip = ["called:N", alt.Tooltip("network:N"), alt.Tooltip("text:N", title=title)]
    layers = [
        alt.Chart(single).mark_bar(height=16, opacity=0.85, cornerRadiusEnd=2).encode(
            x=x, y=y, color=colour, tooltip=tooltip
        ),
        alt.Chart(drawn[drawn["what"] == "member"]).mark_tick(thickness=2.5, size=18, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=tooltip
        ),
    ]  # fmt: skip
    inside = bool(share)
    layers.append(
        alt.Chart(single)
        .mark_text(
            align="right" if inside else "left", dx=-6 if inside else 6, fontSize=11,
            color="#FFFFFF" if inside else alt.Undefined, fontWeight=600 if inside else alt.Undefined,
        )
        .encode(x=x, y=y, text=alt.Text("text:N"), **({} if inside else {"color": colour}))
    )  # fmt: skip
    lost = rows[~finite]
    if len(lost):
        layers.append(
            alt.Chart(lost).mark_text(align="left", fontSize=11, fontWeight=600, color=WARNING).encode(
                x=alt.value(6), y=y, text=alt.Text("text:N")
            )
        )  # fmt: skip
    return alt.LayerChart(layer=layers, height=height)
