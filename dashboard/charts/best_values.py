"""The best value that each run keeps, and the threshold that would count it as converged."""

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED, WARNING, arm_colour


def chart(frame: pd.DataFrame, arms: list[str], threshold: float, title: str) -> alt.LayerChart:
    """Return the figure from rows of arm, seed, best; `title` names the metric, `arms` fix the colours."""
    shown = [arm for arm in arms if arm in set(frame["arm"])]
    x = alt.X("best:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(format="~g", tickCount=8))
    dots = (
        alt.Chart(frame)
        .transform_calculate(jitter="random() - 0.5")
        .mark_point(filled=True, size=54, opacity=0.75)
        .encode(
            x=x,
            y=alt.Y("arm:N", title=None, sort=shown, axis=alt.Axis(ticks=False, domain=False)),
            yOffset=alt.YOffset("jitter:Q", scale=alt.Scale(domain=[-1.2, 1.2])),
            color=arm_colour(arms, shown, legend=False),
            tooltip=[alt.Tooltip("arm:N"), alt.Tooltip("seed:Q"), alt.Tooltip("best:Q", format=".4~g")],
        )
    )
    rule = alt.Chart(pd.DataFrame({"best": [threshold], "text": ["threshold"]}))
    return alt.LayerChart(
        layer=[
            dots,
            rule.mark_rule(color=WARNING, strokeWidth=2, strokeDash=[5, 3]).encode(x=x),
            rule.mark_text(color=MUTED, align="left", dx=5, baseline="top", text="threshold").encode(
                x=x, y=alt.value(2)
            ),
        ],
        height=46 * len(shown) + 70,
    )
