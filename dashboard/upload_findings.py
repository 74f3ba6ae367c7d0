"""What was found in uploaded files: each file's format and rows, what was skipped, and the first rows."""

from collections import Counter
from pathlib import Path

import duckdb
import pandas as pd
import streamlit as st

from dashboard.wording import count
from data.importers import importers
from data.importing.cells import text_of
from data.importing.intake import Intake
from data.importing.staged import Shape, Staged
from engine.jobs.import_request import all_known

ROWS = 20


def show(intake: Intake, staged: Staged) -> None:
    """Show what was found, file by file, and the first rows."""
    if staged.files:
        rows, tables = Counter[str](), Counter[str]()
        for shape in staged.shapes:
            for table in shape.tables:
                rows[table.file] += table.rows
                tables[table.file] += 1
        st.subheader("What was recognized", anchor=False)
        st.caption(
            f"{count(len(staged.files), 'file')}, {count(staged.rows, 'row')} in "
            f"{count(staged.tables, 'table')}."
        )
        known = importers()
        frame = pd.DataFrame(
            {
                "File": [one["name"] for one in staged.files],
                "Format": [
                    known[one["importer"]].title if one["importer"] in known else one["importer"]
                    for one in staged.files
                ],
                "Rows": [rows.get(one["name"]) for one in staged.files],
                "Tables": [tables.get(one["name"]) for one in staged.files],
                "Size": [one["size"] for one in staged.files],
            }
        ).astype({"Rows": "Int64", "Tables": "Int64"})
        st.dataframe(
            frame, hide_index=True, key="upload.recognized",
            placeholder="with another", alt="Each file that was recognized: format, rows, tables, size.",
            column_config={
                "File": st.column_config.TextColumn(width="medium"),
                "Rows": st.column_config.NumberColumn(
                    format="localized", help="Of files that belong together, all stand at the first."
                ),
                "Size": st.column_config.NumberColumn(format="bytes"),
            },
        )  # fmt: skip
    if staged.skipped:
        _skipped(staged)
    if staged.shapes:
        _preview(intake, staged)


def _skipped(staged: Staged) -> None:
    if all_known(staged):
        st.info(
            "All of it was imported before: there is nothing to add. Past imports are below.",
            icon=":material/done_all:",
        )
    else:
        st.subheader("What was not taken", anchor=False)
    frame = pd.DataFrame(
        [(one.name, one.why, one.remedy) for one in staged.skipped], columns=["File", "Why", "What to do"]
    )
    st.dataframe(
        frame, hide_index=True, key="upload.skipped",
        alt="Each file that was not taken, why, and what to do.",
        column_config={
            "File": st.column_config.TextColumn(width="small"),
            "Why": st.column_config.TextColumn(width="large"),
            "What to do": st.column_config.TextColumn(width="large"),
        },
    )  # fmt: skip


def _preview(intake: Intake, staged: Staged) -> None:
    """Show the first rows of one shape, as they stand in the files."""
    st.subheader("First rows", anchor=False)
    shape = staged.shapes[0]
    if len(staged.shapes) > 1:
        named = {f"{place + 1}: {_told(one)}": one for place, one in enumerate(staged.shapes)}
        shape = named[st.selectbox("Files with the same columns", list(named), key="upload.shape")]
    try:
        frame = first_rows(str(intake.folder), shape.number, _cells(shape))
    except duckdb.IOException:
        st.caption("The rows are being read by a job; they show here when it is done.")
        return
    st.dataframe(
        frame, hide_index=True, height=234, key=f"upload.rows.{shape.number}",
        alt=f"The first {len(frame)} rows as they stand in the files.",
    )  # fmt: skip


def _told(shape: Shape) -> str:
    first = shape.tables[0].file
    more = f" and {count(len(shape.tables) - 1, 'other table')}" if len(shape.tables) > 1 else ""
    return f"{first}{more}"


def _cells(shape: Shape) -> tuple[tuple[str, str], ...]:
    """Return the name of each column and the SQL of its cells, as numbers where all of them are."""
    return tuple(
        (column.name, f"v{place}" if column.kind == "number" and not column.texts else text_of(place))
        for place, column in enumerate(shape.columns)
    )


@st.cache_data(max_entries=32, show_spinner=False)
def first_rows(folder: str, shape: int, cells: tuple[tuple[str, str], ...]) -> pd.DataFrame:
    """Return at most `ROWS` staged rows; a shape of an upload never changes.

    Raises:
        duckdb.IOException: a job has the file open.
    """
    with duckdb.connect(str(Path(folder) / "staged.duckdb"), read_only=True) as connection:
        found = connection.execute(
            f"SELECT {', '.join(sql for _, sql in cells)} FROM shape{shape} LIMIT {ROWS}"
        ).fetchall()
    return pd.DataFrame(found, columns=[name for name, _ in cells])
