"""How much the lab keeps: by kind, by study and by person."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard.lab import Lab
from dashboard.queries import BY_ROOT
from data.storage import Usage, by, total, usage
from data.store import Store

FRESH_S = 30
"""Seconds for which sizes are remembered: a look at every file of a large lab takes about one."""
CUTS: dict[str, Callable[[Usage], str]] = {
    "Kind": lambda one: one.kind,
    "Study": lambda one: one.study or "none",
    "Person": lambda one: one.person or "nobody known",
}


@st.cache_data(ttl=FRESH_S, max_entries=4, show_spinner=False, hash_funcs=BY_ROOT)
def used(store: Store) -> list[Usage]:
    """Return the sizes of all files of a store, as of the last half minute."""
    return usage(store)


def show(lab: Lab) -> None:
    """Show the bytes of the lab, cut three ways."""
    found = used(lab.store.machine)
    st.metric("In all", f"{total(found) / 2**30:,.2f} GiB", border=True, width=240)
    for (name, of), column in zip(CUTS.items(), st.columns(len(CUTS), gap="medium"), strict=True):
        sizes = by(found, of)
        with column:
            st.dataframe(
                pd.DataFrame({name: list(sizes), "Size": list(sizes.values())}),
                hide_index=True, key=f"admin.storage.{name}", alt=f"Bytes by {name.lower()}, the most first.",
                column_config={"Size": st.column_config.NumberColumn(format="bytes")},
            )  # fmt: skip
    st.caption(
        "Files on the disk, of running jobs too; a checkpoint that several share counts once. Studies are "
        "archived and deleted on their cards in Studies, runs in Runs; `python -m engine tidy` clears for "
        "good what was deleted long enough ago."
    )
