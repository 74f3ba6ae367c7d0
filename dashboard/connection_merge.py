"""Several networks averaged into one, beside its members and their ensemble."""

import math
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import merges
from dashboard.charts.palette import METHOD_NAMES
from dashboard.connections import Connection, said, unit
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, prepare
from dashboard.wording import count, significant

BIAS = (
    "**A mean of many matched networks is biased where they differ much.** Averaging 16 noisy, "
    "relabelled copies "
    "of a template is unbiased after alignment at small noise (error 0.248, as an oracle's), and "
    "badly biased at "
    "large noise (1.08 against 0.50): matching aligns the noise too (Devilliers et al., Fréchet means under "
    "relabelling). Read a merge beside its members' cosine and cycle consistency."
)


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show what becomes of the mean of several networks."""
    split = st.segmented_control(
        "On", connection.splits, default=connection.splits[-1], required=True, bind="query-params",
        key="connectivity.merge.split",
    )  # fmt: skip
    split = str(split or connection.splits[-1])
    parts = [
        figure.Panel(
            unit(connection, quantity),
            _drawn(connection.row.key, split, quantity, connection),
            f"{quantity.capitalize()} of members, ensemble and merges on the {split} rows.",
        )
        for quantity in connection.quantities
    ]
    rows = pd.concat(
        [_rows(connection, split, quantity).assign(quantity=quantity) for quantity in connection.quantities]
    )
    figure.panels(
        parts,
        "connectivity.merges",
        rows[["quantity", "called", "network", "value", "text"]].rename(columns={"called": "what"}),
        connection.provenance(
            "merge: mean of all weights, as they are, after matching each to the mean of the "
            "others until the "
            "distance stops falling, or after permutations that agree around every cycle; "
            "ensemble: mean of the "
            "members' probabilities",
            "Ainsworth et al. 2022; Crisostomi et al. 2024",
        ),
        f"Ticks: the {count(len(connection.nodes), 'member')}; bars: one network each, the ensemble "
        f"{count(len(connection.nodes), 'network')}.",
    )
    _facts(connection)
    st.info(BIAS, icon=":material/balance:")


def _facts(connection: Connection) -> None:
    told: dict[str, Any] = connection.told
    columns = st.columns(3, gap="small")
    share = told["cycle_consistency"]
    with columns[0].container(border=True, key="connectivity.cycle", height="stretch"):
        st.metric(
            "Units that pairwise matchings agree on", "–" if share is None else f"{share:.1%}",
            help="Share of units that come back to themselves when the pairwise matchings are followed "
            "around three networks, A to B to C to A (Crisostomi et al. 2024). Where seeds "
            "differ freely, 8 to 12 % is usual.",
        )  # fmt: skip
        if share is None:
            st.caption("Asked of three networks or more, up to 45 pairs.")
    for column, (method, moved) in zip(columns[1:], told["distances"].items(), strict=False):
        with column.container(border=True, key=f"connectivity.spread.{method}", height="stretch"):
            st.metric(
                f"Mean distance, {METHOD_NAMES[method]}",
                f"{significant(moved['before'])} → {significant(moved['after'])}",
                help="Mean Frobenius distance between two members, before and after they are put into one "
                "order.",
            )  # fmt: skip


def _rows(connection: Connection, split: str, quantity: str) -> pd.DataFrame:
    """Return what was measured: what, called, network, value, text; what is not finite is infinite."""
    rows, members = list[dict[str, Any]](), iter(connection.names)
    for one in connection.told["merges"]:
        if one["split"] != split:
            continue
        value = math.inf if one[quantity] is None else float(one[quantity])
        network = next(members) if one["what"] == "member" else "all of them"
        shown = f"{value:.1%}" if quantity == "accuracy" and np.isfinite(value) else said(value)
        rows.append(
            {
                "what": one["what"], "called": METHOD_NAMES[one["what"]], "network": network, "value": value,
                "text": shown,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(key: str, split: str, quantity: str, _connection: Connection) -> Prepared:
    frame = _rows(_connection, split, quantity)
    return prepare(merges.chart(frame, unit(_connection, quantity), quantity == "accuracy"))
