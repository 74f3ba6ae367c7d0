"""One network with its smallest weights removed, its units corrected towards the whole one or not."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import pruning_curves
from dashboard.charts.palette import CORRECTION_NAMES
from dashboard.connections import Connection, said, unit
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, prepare
from dashboard.wording import sentence


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show loss and accuracy over sparsities."""
    split = st.segmented_control(
        "On", connection.splits, default=connection.splits[-1], required=True, bind="query-params",
        key="connectivity.pruning.split",
    )  # fmt: skip
    split = str(split or connection.splits[-1])
    quantities = list(reversed(connection.quantities))
    parts = [
        figure.Panel(
            unit(connection, quantity),
            _drawn(
                connection.row.key, split, quantity, tuple(choice.arms), quantity == quantities[0], connection
            ),
            f"{quantity.capitalize()} of {connection.names[0]} on the {split} rows, by the share of weights "
            "removed and by correction.",
        )
        for quantity in quantities
    ]
    rows = pd.concat([_rows(connection, split, one).assign(quantity=one) for one in quantities])
    figure.panels(
        parts,
        "connectivity.pruned",
        rows.assign(kind=np.where(np.isfinite(rows["value"]), "finite", "overflows")),
        connection.provenance(
            "the weights of least magnitude are set to 0; a correction gives each unit the mean "
            "and spread that it "
            "has in the whole network, on training rows",
            "Jordan et al. 2022, section 4.5",
        ),
        sentence(_told(connection, split)),
    )
    for one in connection.told["refused"]:
        st.caption(f":material/block: Not done, {CORRECTION_NAMES[one['renormalize']]}: {one['why']}")


def _told(connection: Connection, split: str) -> list[str]:
    """Say where a correction helps most."""
    quantity = connection.quantities[-1]
    rows = _rows(connection, split, quantity).replace([np.inf], np.nan)
    plain = rows[rows["correction"] == CORRECTION_NAMES["none"]].set_index("sparsity")["value"]
    rest = rows[rows["correction"] != CORRECTION_NAMES["none"]]
    if plain.empty or rest.empty:
        return []
    beside = rest.assign(before=rest["sparsity"].map(plain)).dropna()
    gain = (beside["value"] - beside["before"]) * (1 if quantity == "accuracy" else -1)
    if gain.empty or gain.max() <= 0:
        return ["No correction helps here"]
    best = beside.to_dict("records")[int(gain.to_numpy().argmax())]
    how, sparsity, before, after = (best[name] for name in ("correction", "sparsity", "before", "value"))
    shown = [f"{value:.1%}" if quantity == "accuracy" else said(value) for value in (before, after)]
    return [
        f"{how} helps most where {sparsity:.0%} are removed: {quantity} {shown[0]} without, "
        f"{shown[1]} with it"
    ]


def _rows(connection: Connection, split: str, quantity: str) -> pd.DataFrame:
    """Return arm, correction, sparsity, value; refused corrections are left out, an overflow is infinite."""
    told, at = connection.told, connection.splits.index(split)
    refused = {one["renormalize"] for one in told["refused"]}
    values = connection.arrays[quantity][:, at]
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "arm": connection.nodes[0].arm, "correction": CORRECTION_NAMES[how],
                    "sparsity": connection.arrays["sparsities"],
                    "value": np.where(np.isfinite(line), line, np.inf),
                }
            )
            for how, line in zip(told["renormalize"], values, strict=True)
            if how not in refused
        ],
        ignore_index=True,
    )  # fmt: skip


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(
    key: str, split: str, quantity: str, arms: tuple[str, ...], legend: bool, _connection: Connection
) -> Prepared:
    rows = _rows(_connection, split, quantity)
    return prepare(
        pruning_curves.chart(rows, arms, unit(_connection, quantity), quantity == "accuracy", legend)
    )
