"""What columns and runs of an upload are taken as, in two tables that a person can correct."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.wording import significant
from data.errors import LabError
from data.importers import Role
from data.importing.planning import Plan
from data.importing.roles import Choice, Corrections, choose, lab_name
from data.importing.staged import Column, Shape, Staged

METRIC = "a metric"
WORDS: dict[str, Role] = {
    "step": "step", "epoch": "epoch", "seconds since the start": "seconds", "moment": "time", "run": "run",
    "arm": "arm", "seed": "seed", "names of metrics": "metric", "values of metrics": "value",
    "left out": "skip",
}  # fmt: skip
"""The role that each choice in the table stands for."""
_CALLED = {role: word for word, role in WORDS.items()}


def columns_of(staged: Staged, planned: Plan | None, said: Corrections) -> pd.DataFrame:
    """Return each column by name, and each metric that a long table names, as they are taken now.

    Returns:
        Column, Holds, Example, Taken as, Name and Lab's name.
    """
    store_names = planned.metrics if planned else {}
    rows: dict[str, tuple[str, str, str, str, str]] = {}
    for shape in staged.shapes:
        for column, choice in zip(shape.columns, _chosen(shape, said), strict=True):
            taken = METRIC if choice.role is None else _CALLED[choice.role]
            called = said.names.get(column.name) or store_names.get(column.name, choice.name)
            called = called if choice.role is None else ""
            rows.setdefault(column.name, (column.name, _holds(column), _example(column), taken, called))
    for name, called in store_names.items():
        rows.setdefault(name, (name, "a name in a long table", "", METRIC, said.names.get(name, called)))
    frame = pd.DataFrame(list(rows.values()), columns=["Column", "Holds", "Example", "Taken as", "Name"])
    offered = lab_names(frame)
    return frame.assign(**{"Lab's name": [offered.get(name, "") for name in frame["Column"]]})


def lab_names(frame: pd.DataFrame) -> dict[str, str]:
    """Return the lab's own name of metrics by column, where it has one that no other metric has."""
    metrics = frame[frame["Taken as"] == METRIC]
    taken = {str(name).lower() for name in metrics["Name"]}
    offered: dict[str, str] = {}
    for column, name in zip(metrics["Column"], metrics["Name"], strict=True):
        ours = lab_name(str(name))
        if ours is not None and ours not in taken:
            offered[column] = ours
            taken.add(ours)
    return offered


def corrected(base: pd.DataFrame, edited: pd.DataFrame, said: Corrections) -> Corrections:
    """Return corrections with what was changed in the table of columns.

    Where a role changed, runs may be others, and what was said of them before is left out.
    """
    roles, names = dict(said.roles), dict(said.names)
    for was, now in zip(base.to_dict("records"), edited.to_dict("records"), strict=True):
        column, name = was["Column"], _text(now["Name"])
        moved = now["Taken as"] != was["Taken as"]
        if now["Taken as"] != METRIC:
            if moved:
                roles[column] = WORDS[now["Taken as"]]
                names.pop(column, None)
        elif moved or name != was["Name"]:
            roles.pop(column, None)
            names[column] = name or column
    return Corrections(roles, names, said.runs if roles == dict(said.roles) else {})


def runs_of(planned: Plan, said: Corrections) -> pd.DataFrame:
    """Return each run that has rows, with what was said of it even where no plan could follow."""
    rows = []
    for run in planned.runs:
        if not run.rows:
            continue
        arm, seed = said.runs.get(run.name, (run.arm, run.seed))
        steps = f"{run.steps[0]:,} to {run.steps[1]:,}" if run.steps else ""
        gone = "" if run.diverged_at is None else f"step {run.diverged_at:,}: {run.diverged_what}"
        rows.append((run.name, arm, seed, run.rows, steps, len(run.metrics), gone))
    return pd.DataFrame(rows, columns=["Run", "Arm", "Seed", "Rows", "Steps", "Metrics", "Diverged"])


def renamed(base: pd.DataFrame, edited: pd.DataFrame, said: Corrections) -> Corrections:
    """Return corrections with what was changed in the table of runs."""
    runs = dict(said.runs)
    for was, now in zip(base.to_dict("records"), edited.to_dict("records"), strict=True):
        if (now["Arm"], now["Seed"]) != (was["Arm"], was["Seed"]):
            runs[was["Run"]] = (_text(now["Arm"]) or was["Arm"], int(now["Seed"]))
    return Corrections(said.roles, said.names, runs)


def edit_columns(base: pd.DataFrame, key: str, locked: bool) -> pd.DataFrame:
    """Show the table of columns and return it as it was changed."""
    edited: pd.DataFrame = st.data_editor(
        base, hide_index=True, key=key,
        disabled=True if locked else ["Column", "Holds", "Example", "Lab's name"],
        column_config={
            "Column": st.column_config.TextColumn(width="medium", pinned=True),
            "Example": st.column_config.TextColumn(width="medium"),
            "Taken as": st.column_config.SelectboxColumn(
                options=[METRIC, *WORDS], required=True, width="medium",
                help="Runs are told apart by the columns taken as run, arm and seed, and by their files.",
            ),
            "Name": st.column_config.TextColumn(
                max_chars=200, help="What the metric is called here. Metrics of one name become one."
            ),
            "Lab's name": st.column_config.TextColumn(
                help="What the lab calls it: metrics of its own names get its formula and unit."
            ),
        },
        alt="The columns of the files and what each is taken as.",
    )  # fmt: skip
    return edited


def edit_runs(base: pd.DataFrame, key: str, locked: bool) -> pd.DataFrame:
    """Show the table of runs and return it as it was changed."""
    edited: pd.DataFrame = st.data_editor(
        base, hide_index=True, key=key,
        disabled=True if locked else ["Run", "Rows", "Steps", "Metrics", "Diverged"],
        column_config={
            "Run": st.column_config.TextColumn("Run in the files", width="medium", pinned=True),
            "Arm": st.column_config.TextColumn(
                required=True, max_chars=200, help="Runs of one arm differ by their seed alone."
            ),
            "Seed": st.column_config.NumberColumn(
                required=True, min_value=0, step=1, format="%d",
                help="Runs of two arms with the same seed are compared as a pair.",
            ),
            "Rows": st.column_config.NumberColumn(format="localized"),
            "Diverged": st.column_config.TextColumn(
                width="medium", help="The first step from which a loss is never finite again."
            ),
        },
        alt="The runs in the files, with arm, seed, rows, steps, metrics and where they diverged.",
    )  # fmt: skip
    return edited


def _chosen(shape: Shape, said: Corrections) -> Sequence[Choice]:
    """Return what columns are taken as, as said even where that cannot be."""
    try:
        return choose(shape, said)
    except LabError:
        plain = choose(shape, Corrections())
        return [
            Choice(said.roles[column.name])
            if column.name in said.roles
            else Choice(None, said.names[column.name])
            if column.name in said.names
            else choice
            for column, choice in zip(shape.columns, plain, strict=True)
        ]


def _holds(column: Column) -> str:
    if column.kind == "empty":
        return "nothing"
    if column.kind == "text":
        return "text"
    kind = "whole numbers" if column.whole else "numbers"
    return f"{kind}; {column.texts:,} texts" if column.texts else kind


def _example(column: Column) -> str:
    if column.kind == "number" and column.low is not None and column.high is not None:
        ends = (f"{end:,.0f}" if column.whole and abs(end) < 1e15 else significant(end)
                for end in (column.low, column.high))  # fmt: skip
        return " to ".join(ends)
    return column.text


def _text(cell: object) -> str:
    return cell.strip() if isinstance(cell, str) else ""
