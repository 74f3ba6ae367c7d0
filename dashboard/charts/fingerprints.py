"""What each state is like: its mean of every metric in standard deviations."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import state_name


def tidy(means: np.ndarray, labels: list[str]) -> pd.DataFrame:
    """Return [states, metrics] means in normalized units as rows: state, metric, z."""
    return pd.DataFrame(
        [
            {"state": state_name(state), "metric": labels[column], "z": float(means[state, column])}
            for state in range(means.shape[0])
            for column in range(means.shape[1])
        ]
    )


def chart(frame: pd.DataFrame, metrics: list[str]) -> alt.LayerChart:
    """Return the figure from rows of state, metric, z; metrics from top to bottom."""
    bound = max(float(frame["z"].abs().max()), 1.0)
    base = alt.Chart(frame).encode(
        x=alt.X(
            "state:N",
            title="State",
            axis=alt.Axis(
                orient="top",
                labelExpr="replace(datum.label, 'State ', '')",
                labelAngle=0,
                labelOverlap=False,
                ticks=False,
                domain=False,
            ),
        ),
        y=alt.Y(
            "metric:N",
            title=None,
            sort=metrics,
            axis=alt.Axis(ticks=False, domain=False, labelLimit=200, labelOverlap=False),
        ),
    )
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color(
            "z:Q",
            title="z",
            scale=alt.Scale(domain=[-bound, 0, bound], scheme="blueorange"),
            legend=alt.Legend(orient="right", gradientLength=120, format="+.1~f"),
        ),
        tooltip=["state:N", "metric:N", alt.Tooltip("z:Q", format="+.2f")],
    )
    text = base.mark_text(fontSize=11).encode(
        text=alt.Text("z:Q", format="+.1f"),
        color=alt.condition(f"abs(datum.z) > {0.6 * bound}", alt.value("#FFFFFF"), alt.value("#1B212B")),
    )
    return alt.LayerChart(layer=[cells, text], height=24 * len(metrics) + 60)
