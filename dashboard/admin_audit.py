"""Who changed what, the newest first."""

import json

import pandas as pd
import streamlit as st

from dashboard.lab import Lab
from data.formulas import guarded
from data.rows import AuditRow

SHOWN = 500
EXPORTED = 1_000_000


def show(lab: Lab) -> None:
    """Show the latest changes, with all of them as CSV."""
    rows = lab.store.catalog.audited(SHOWN)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.caption(f"The last {len(rows):,} changes that people made; each was written down with the change.")
        st.download_button(
            "All as CSV", lambda: table(lab.store.catalog.audited(EXPORTED)).to_csv(index=False), "audit.csv",
            "text/csv", icon=":material/download:", key="admin.audit.csv", type="tertiary", on_click="ignore",
        )  # fmt: skip
    if not rows:
        st.info("Nothing has been changed yet.", icon=":material/history:")
        return
    st.dataframe(
        table(rows), hide_index=True, key="admin.audit", height="content" if len(rows) < 15 else 560,
        column_config={"When": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm:ss")},
        alt="Who changed what, the newest first.",
    )  # fmt: skip


def table(rows: list[AuditRow]) -> pd.DataFrame:
    """Return the changes, one row each; texts that a spreadsheet would take for formulas are guarded."""
    return pd.DataFrame(
        {
            "When": [row.at for row in rows],
            "Who": [guarded(row.person) for row in rows],
            "What": [row.action for row in rows],
            "Of": [guarded(row.target) for row in rows],
            "More": [guarded(json.dumps(row.detail)) if row.detail else "" for row in rows],
        }
    )
