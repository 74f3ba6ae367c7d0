"""Imports that were made: where to look at them, who made them from what, undo and redo."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.wording import count, escaped
from data.importers import importers
from data.rows import UploadRow

_CLICKED = "upload.turned"
UNDO, REDO = ":material/undo: Undo", ":material/redo: Redo"
VIEWS = (
    ("runs", "Runs", ":material/table_rows:"),
    ("traces", "Traces", ":material/show_chart:"),
    ("latent_states", "Latent states", ":material/timeline:"),
    ("detours", "Detours", ":material/fork_right:"),
    ("shuffling", "Shuffling", ":material/shuffle:"),
)


def imported(lab: Lab, row: UploadRow) -> None:
    """Say what an import brought, where to look at it, and offer to undo it."""
    with st.container(border=True, key="upload.imported"):
        told = f"{count(row.runs, 'run')} and {count(row.rows, 'row')}"
        if row.undone_at is None:
            st.success(f"Imported {told} into **{escaped(row.study)}**.", icon=":material/check_circle:")
            with st.container(horizontal=True, gap="medium"):
                for view, label, icon in VIEWS:
                    link(view, label, icon, study=row.study)
        else:
            st.info(
                f"The import of {told} into **{escaped(row.study)}** is undone: they count nowhere.",
                icon=":material/undo:",
            )
        undone = row.undone_at is not None
        st.button(
            "Redo" if undone else "Undo", icon=":material/redo:" if undone else ":material/undo:",
            key="upload.turn", disabled=not lab.access.may_change, on_click=act, args=(turn, lab, row.id),
            help="Its runs leave every list and figure; it can be brought back.",
        )  # fmt: skip


def turn(lab: Lab, id: int) -> None:
    """Undo an import that counts, or bring back one that was undone.

    Raises:
        LabError: the files of an undone one were imported anew since.
    """
    catalog = lab.store.catalog
    if catalog.upload(id).undone_at is None:
        catalog.undo_upload(id)
    else:
        catalog.redo_upload(id)


def show(lab: Lab) -> None:
    """Show all imports, the newest first, with their files."""
    rows = lab.store.catalog.uploads()
    if not rows:
        return
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.subheader("Past imports", anchor=False)
        st.download_button(
            "Provenance", lambda: provenance(rows), "imports.json", "application/json",
            icon=":material/download:", key="upload.provenance", type="tertiary", on_click="ignore",
            help="JSON of every import: files with SHA-256, importer and version; what was corrected, "
            "skipped and warned of.",
        )  # fmt: skip
    frame = table(rows)
    config: dict[str, Any] = {
        "#": st.column_config.NumberColumn(width=40, format="%d"),
        "When": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", width=140),
        "Files": st.column_config.NumberColumn(width=50),
        "Rows": st.column_config.NumberColumn(format="localized"),
        "Runs": st.column_config.NumberColumn(format="localized"),
        "Warnings": st.column_config.ListColumn(width="medium"),
        "Undo": st.column_config.ButtonColumn(
            "", key=_CLICKED, on_click=act, args=(_clicked, lab, [row.id for row in rows])
        ),
    }  # fmt: skip
    order = [str(name) for name in frame if name != "Undo" or lab.access.may_change]
    st.dataframe(
        frame, hide_index=True, column_order=order,
        column_config=config, key="upload.past", alt="The imports of this lab.",
    )  # fmt: skip
    with st.expander("Their files", key="upload.files", type="compact"):
        st.dataframe(
            files(rows), hide_index=True, key="upload.files.table",
            column_config={
                "#": st.column_config.NumberColumn(width=40, format="%d"),
                "File": st.column_config.TextColumn(width="large"),
                "Size": st.column_config.NumberColumn(format="bytes"),
            },
            alt="The files of every import with size, SHA-256 and importer.",
        )  # fmt: skip


def table(rows: Sequence[UploadRow]) -> pd.DataFrame:
    """Return the imports, one row each."""
    return pd.DataFrame(
        [
            {
                "#": row.id,
                "When": row.created_at,
                "Who": row.who,
                "Study": row.study,
                "State": "counts" if row.undone_at is None else "undone",
                "Undo": UNDO if row.undone_at is None else REDO,
                "Files": len(row.files),
                "Read as": ", ".join(sorted({_format(one) for one in row.files})),
                "Runs": row.runs,
                "Rows": row.rows,
                "Warnings": row.warnings,
            }
            for row in rows
        ]
    )


def files(rows: Sequence[UploadRow]) -> pd.DataFrame:
    """Return the files of all imports, with the first twelve digits of their SHA-256."""
    return pd.DataFrame(
        [
            {
                "#": row.id,
                "File": one["name"],
                "Size": one["size"],
                "SHA-256": one["sha256"][:12],
                "Read as": f"{_format(one)}, version {one['version']}",
            }
            for row in rows
            for one in row.files
        ]
    )


def provenance(rows: Sequence[UploadRow]) -> str:
    """Return everything that is known of imports as JSON."""
    told = [asdict(row) for row in rows]
    return json.dumps(told, default=lambda moment: moment.isoformat(), indent=1, ensure_ascii=False)


def _format(file: Mapping[str, str]) -> str:
    known = importers().get(file["importer"])
    return known.title if known else file["importer"]


def _clicked(lab: Lab, ids: Sequence[int]) -> None:
    turn(lab, ids[st.session_state[_CLICKED]["row"]])
