"""What each state is like: its mean of every metric, of the network and of each layer, in z-scores."""

import altair as alt
import numpy as np
import pandas as pd

from dashboard.charts.palette import state_name

WHOLE = "all layers"


def tidy(means: np.ndarray, variances: np.ndarray, names: list[str], labels: list[str]) -> pd.DataFrame:
    """Return [states, metrics] emissions in model units as rows: state, metric, layer, z, sd.

    Args:
        means: of each state and metric.
        variances: of each state and metric.
        names: of the metrics; `layer/metric` for one of a single layer.
        labels: what the metrics are called.
    """
    layers = [name.rpartition("/")[0] or WHOLE for name in names]
    states, metrics = means.shape
    return pd.DataFrame(
        {
            "state": np.repeat([state_name(state) for state in range(states)], metrics),
            "metric": np.tile(np.array(labels, dtype=object), states),
            "layer": np.tile(np.array(layers, dtype=object), states),
            "z": means.reshape(-1).astype(float),
            "sd": np.sqrt(variances.reshape(-1).astype(float)),
        }
    )


def chart(frame: pd.DataFrame, metrics: list[str]) -> alt.LayerChart:
    """Return the figure from rows of state, metric, z, sd; metrics from top to bottom."""
    bound = max(float(frame["z"].abs().max()), 1.0)
    base = alt.Chart(frame).encode(
        x=alt.X(
            "state:N",
            title="State",
            sort=list(dict.fromkeys(frame["state"])),
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
        tooltip=[
            "state:N",
            "metric:N",
            alt.Tooltip("z:Q", title="mean [z]", format="+.2f"),
            alt.Tooltip("sd:Q", title="spread in the state [z]", format=".2f"),
        ],
    )
    text = base.mark_text(fontSize=11).encode(
        text=alt.Text("z:Q", format="+.1f"),
        color=alt.condition(f"abs(datum.z) > {0.6 * bound}", alt.value("#FFFFFF"), alt.value("#1B212B")),
    )
    return alt.LayerChart(layer=[cells, text], height=24 * len(metrics) + 60)
