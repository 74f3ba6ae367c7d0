"""What half-way between two networks does to each layer, matched and not."""

from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import layer_diagnostics
from dashboard.charts.palette import METHOD_NAMES
from dashboard.connections import Connection
from dashboard.prepared import Prepared, prepare


class _Panel(NamedTuple):
    title: str
    axis: str
    reference: float | None


PANELS = {
    "variance_ratio": _Panel("Variance ratio", "half-way / ends", 1.0),
    "norm_ratio": _Panel("Norm ratio", "half-way / ends", 0.5**0.5),
    "linearity_gap": _Panel("Linearity gap", "1 − cosine", None),
    "distance": _Panel("Distance of the ends", "Frobenius norm", None),
}


def show(connection: Connection) -> None:
    """Show which layers collapse half-way."""
    rows = connection.told["diagnostics"]
    st.subheader(
        "Layer by layer, half-way",
        anchor=False,
        help="Variance ratio: summed variance of a layer's units half-way over the mean of the ends'; far "
        "below 1, activations collapse (Jordan et al. 2022). Norm ratio: norm of the weights half-way over "
        "the mean of the ends'; 0.707 between orthogonal ends of equal length. Linearity gap: "
        "1 − cosine between the features half-way and the mean of the ends' features (Zhou et al. 2023).",
    )
    if not rows:
        st.caption("The layers of this architecture cannot be told apart, so that nothing is said of each.")
        return
    frame = pd.DataFrame(rows).assign(method=[METHOD_NAMES[row["method"]] for row in rows])
    parts = [
        figure.Panel(
            panel.title,
            _drawn(connection.row.key, name, connection),
            f"{panel.title} of each layer, by method.",
        )
        for name, panel in PANELS.items()
    ]
    undefined = [panel.title for name, panel in PANELS.items() if frame[name].isna().any()]
    figure.panels(
        parts,
        "connectivity.layers",
        frame.melt(["method", "layer"], list(PANELS), "what").dropna(),
        connection.provenance(
            "variance ratio: Σ Var(half-way) / mean over ends of Σ Var; norm ratio: ||half-way|| "
            "/ mean ||end||; "
            "linearity gap: 1 − mean over examples of cos(f(half-way), mean f(end)); distance: ||A − B||_F",
            "Jordan et al. 2022; Zhou et al. 2023",
        ),
        "Dashed: 1, where variance is kept, and 0.707, the norm half-way between orthogonal ends."
        + (f" Undefined where both ends are 0 or never vary: {', '.join(undefined)}." if undefined else ""),
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(key: str, name: str, _connection: Connection) -> Prepared:
    rows = _connection.told["diagnostics"]
    frame = pd.DataFrame(
        {
            "method": [METHOD_NAMES[row["method"]] for row in rows],
            "layer": [row["layer"] for row in rows],
            "value": pd.array([row[name] for row in rows], dtype="Float64").to_numpy(
                float, na_value=float("nan")
            ),
        }
    )
    panel = PANELS[name]
    return prepare(layer_diagnostics.chart(frame, panel.axis, panel.reference, legend=name == "norm_ratio"))
