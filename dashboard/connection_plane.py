"""The loss on the plane through three networks, as they are and matched, side by side."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import loss_plane
from dashboard.charts.palette import METHOD_NAMES
from dashboard.connections import Connection, quantity_picker, said, unit
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, prepare
from dashboard.wording import sentence


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show the planes of all methods."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        split, quantity = quantity_picker(connection, "plane")
    methods = connection.told["methods"]
    values = _values(connection, split, quantity)
    parts, frames, told = list[figure.Panel](), list[pd.DataFrame](), list[str]()
    for at, method in enumerate(methods):
        name = METHOD_NAMES[method]
        finite = values[at][np.isfinite(values[at])]
        lost = values[at].size - len(finite)
        spread = f"{said(float(finite.min()))} to {said(float(finite.max()))}" if len(finite) else "no number"
        told.append(
            f"{name}: {spread}" + (f", and {lost:,} of {values[at].size:,} places overflow" if lost else "")
        )
        parts.append(
            figure.Panel(
                name.capitalize(),
                _drawn(connection.row.key, split, quantity, at, connection),
                f"{quantity.capitalize()} on the {split} rows over the plane through "
                f"{', '.join(connection.names)}, {name}.",
            )
        )
        frames.append(_cells(connection, values, at)[["x", "y", "value"]].assign(method=name))
    rows = pd.concat(frames, ignore_index=True)
    rows["kind"] = np.where(np.isfinite(rows["value"]), "finite", "overflows")
    figure.panels(
        parts,
        "connectivity.planes",
        rows,
        connection.provenance(
            "θ_A + x u + y v with u, v from Gram-Schmidt on θ_B − θ_A and θ_C − θ_A; "
            f"{connection.told['points']} × {connection.told['points']} places, a margin of 0.2 "
            f"around the three; "
            + (
                "colours even in the logarithm of the loss"
                if quantity == "loss"
                else "colours even in accuracy"
            ),
            "Garipov et al. 2018",
        ),
        sentence(
            [
                *told,
                "Diamonds: the three networks; distances are those of the weights",
                "Matched planes have other sides, for the second and third network are in the "
                "order of the first"
                if len(methods) > 1
                else "",
            ]
        ),
    )


def _values(connection: Connection, split: str, quantity: str) -> np.ndarray:
    """Return [methods, rows, columns]; what is not finite is infinite."""
    values = connection.arrays[quantity][:, connection.splits.index(split)]
    return np.where(np.isfinite(values), values, np.inf)


def _cells(connection: Connection, values: np.ndarray, at: int) -> pd.DataFrame:
    return loss_plane.tidy(connection.arrays["x"][at], connection.arrays["y"][at], values[at])


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(key: str, split: str, quantity: str, at: int, _connection: Connection) -> Prepared:
    values = _values(_connection, split, quantity)
    log = quantity == "loss" and bool((values > 0).any())
    usable = values[np.isfinite(values) & ((values > 0) | (not log))]
    ends = (float(usable.min()), float(usable.max())) if len(usable) else (0.1, 1.0)
    if ends[0] == ends[1]:
        ends = (ends[0] * 0.9, ends[1] * 1.1 or 1.0)
    anchors = pd.DataFrame(_connection.arrays["anchors"][at], columns=["x", "y"])
    chart = loss_plane.chart(
        _cells(_connection, values, at), anchors.assign(name=_connection.names), ends,
        unit(_connection, quantity), log,
    )  # fmt: skip
    return prepare(chart)
