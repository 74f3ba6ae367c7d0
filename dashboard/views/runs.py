"""The runs of a study as a table: search, compare, tag, note, archive, delete with an undo."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.controls import Choice, choose
from dashboard.figure import safe_csv
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.run_actions import actions, undo_bar
from dashboard.wording import count, escaped
from data.rows import MetricRow, RunRow

TITLE = "Runs"
ICON = ":material/table_rows:"
QUESTION = "Which runs are there, and how do they differ?"
ORDER = 20

SELECTED = "runs.selected"
STATUSES = ("running", "queued", "done", "diverged", "stopped", "failed")
COLOURS = {
    "running": "blue",
    "queued": "gray",
    "done": "green",
    "diverged": "orange",
    "converged": "green",
    "stopped": "gray",
    "failed": "red",
}
FIRST_METRICS = ("own_batch_risk", "full_batch_risk", "test_loss", "test_accuracy")


def render(lab: Lab) -> None:
    """Ask which runs, then show them; a refresh keeps the selection, which is held as run ids."""
    choice = choose(lab.store)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="runs.controls"):
        text = st.text_input(
            "Search",
            key="runs.search",
            bind="query-params",
            type="search",
            placeholder="arm, tag, note, device, setting",
        )
        statuses = st.multiselect(
            "Status", STATUSES, key="runs.status", bind="query-params", placeholder="Any status", width=230
        )
        archived = st.toggle("Archived", key="runs.archived", bind="query-params")
        superseded = st.toggle(
            "Superseded", key="runs.superseded", bind="query-params",
            help="Of several runs of one arm and seed one counts: finished before unfinished, "
            "then the newest.",
        )  # fmt: skip
    live(lab, choice.study.name, lambda: _page(lab, choice, text or "", statuses, archived, superseded))


def _page(
    lab: Lab, choice: Choice, text: str, statuses: Sequence[str], archived: bool, superseded: bool
) -> None:
    everything = lab.store.catalog.runs(choice.study.name, current=not superseded, archived=archived)
    seeds = None if choice.seeds is None else set(choice.seeds)
    rows = [
        run
        for run in everything
        if run.arm in choice.shown_arms
        and (seeds is None or run.seed in seeds)
        and (not statuses or run.status in statuses)
        and matches(run, text)
    ]
    rows.sort(key=lambda run: (choice.arms.index(run.arm), run.seed, run.id))
    undo_bar(lab, choice.study.name)
    if not rows:
        told = (
            "No run of this study yet."
            if not everything
            else "No run matches. Clear the search or the filters."
        )
        st.info(told, icon=":material/search_off:")
        return
    known = queries.metrics(lab.store, choice.study.name)
    frame = table(rows, known)
    picked = _table(frame, known, [run.id for run in rows])
    diverged = sum(run.status == "diverged" for run in rows)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        parts = [f"{len(rows):,} of {count(len(everything), 'run')}"]
        parts += [f":orange[{diverged} diverged]"] if diverged else []
        parts += [f"{len(picked)} selected"] if picked else ["select rows to compare, tag or delete them"]
        st.caption(" · ".join(parts))
        st.download_button(
            "Download CSV",
            lambda: safe_csv(table(rows, known, text_tags=True)),
            f"{choice.study.name}-runs.csv",
            "text/csv",
            icon=":material/download:",
            key="runs.csv",
            on_click="ignore",
            type="tertiary",
        )
    chosen = [run for run in rows if run.id in picked]
    if chosen:
        actions(lab, chosen)
        _differences(chosen)


def matches(run: RunRow, text: str) -> bool:
    """Whether every word of a search occurs in the run: arm, seed, status, device, tags, note or settings."""
    settings = (f"{name}={value}" for name, value in flat(run.config).items())
    whole = " ".join(
        [run.arm, f"seed={run.seed}", f"id={run.id}", run.status, run.device, *run.tags, run.note, *settings]
    )
    return all(word in whole.lower() for word in text.lower().split())


def table(rows: Sequence[RunRow], known: dict[str, MetricRow], text_tags: bool = False) -> pd.DataFrame:
    """Return the runs as a tidy table, one row each, with their last value of each metric."""
    names = [name for name in FIRST_METRICS if name in known] + [
        name for name in known if name not in FIRST_METRICS
    ]
    records = []
    for run in rows:
        told: str = run.status
        if run.status == "diverged" and run.diverged_at is not None:
            told = f"diverged at {run.diverged_at:,}"
        elif run.converged_at is not None:
            told = f"converged at {run.converged_at:,}"
        records.append(
            {
                "id": run.id,
                "status": told if text_tags else [told],
                "arm": run.arm,
                "seed": run.seed,
                "step": run.step,
                "seconds": run.seconds,
                "device": run.device,
                "tags": ", ".join(run.tags) if text_tags else run.tags,
                "note": run.note,
                "started": run.started_at,
                **{name: run.finals.get(name) for name in names},
            }
        )
    return pd.DataFrame.from_records(records)


def _table(frame: pd.DataFrame, known: dict[str, MetricRow], ids: list[int]) -> set[int]:
    """Show the table and return the ids of the selected runs.

    Streamlit keeps a keyed selection as row numbers, which mean other runs once rows come or go. So the key
    holds the ids of the rows, and when they change the selection is handed over by id.
    """
    key = f"runs.table.{hashlib.sha1(str(ids).encode(), usedforsecurity=False).hexdigest()[:12]}"
    before: set[int] = set(st.session_state.get(SELECTED, ()))
    config: dict[str, Any] = {
        "id": st.column_config.NumberColumn("Run", width=55, format="%d", pinned=True),
        "status": st.column_config.MultiselectColumn(
            "Status",
            width=130,
            options=_statuses(frame),
            color=[COLOURS[s.split()[0]] for s in _statuses(frame)],
        ),
        "arm": st.column_config.TextColumn("Arm", width=90),
        "seed": st.column_config.NumberColumn("Seed", width=55, format="%d"),
        "step": st.column_config.NumberColumn("Step", width=70, format="localized"),
        "seconds": st.column_config.NumberColumn("Time [s]", width=75, format="%.1f"),
        "device": st.column_config.TextColumn("Device", width=80),
        "tags": st.column_config.MultiselectColumn("Tags", width=110, color="gray"),
        "note": st.column_config.TextColumn("Note", width=140),
        "started": st.column_config.DatetimeColumn("Started", width=130, format="D MMM, HH:mm"),
    }
    for name, metric in known.items():
        config[name] = st.column_config.NumberColumn(
            metric.label, help=escaped(metric.formula), format="%.4g", width=120
        )
    shown = ["status", "arm", "seed", "step", *(name for name in FIRST_METRICS if name in frame)]
    order = [*shown, "seconds", "device", "tags", "note", "started", *known, "id"]
    event = st.dataframe(
        frame,
        hide_index=True,
        height=min(36 * len(frame) + 39, 420),
        column_order=list(dict.fromkeys(order)),
        column_config=config,
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="–",
        selection_default={"selection": {"rows": [i for i, run in enumerate(ids) if run in before]}},
        alt="The runs of the study with their status and final metrics.",
    )
    picked = {ids[row] for row in event.selection.rows if row < len(ids)}
    st.session_state[SELECTED] = tuple(sorted(picked | (before - set(ids))))
    return picked


def _statuses(frame: pd.DataFrame) -> list[str]:
    return sorted({told[0] for told in frame["status"]})


def _differences(chosen: Sequence[RunRow]) -> None:
    """Show the settings in which the selected runs differ."""
    st.markdown("**Configuration of the selection**")
    if len(chosen) < 2:
        st.caption("Select a second run to see what differs; these are this run's settings.")
    everything = pd.DataFrame(
        {
            f"{run.arm} · seed {run.seed} · run {run.id}": {
                name: str(value) for name, value in flat(run.config).items()
            }
            for run in chosen[:12]
        }
    ).fillna("–")
    differing = everything[everything.nunique(axis=1) > 1] if len(chosen) > 1 else everything
    if differing.empty:
        st.caption(
            f"The {len(chosen)} selected runs have the same settings; they differ by their seed alone."
        )
        return
    if len(chosen) > 12:
        st.caption(f"The first 12 of {len(chosen)} selected runs.")
    st.dataframe(
        differing.rename_axis("setting").reset_index(),
        hide_index=True,
        column_config={"setting": st.column_config.TextColumn("Setting", width=170, pinned=True)},
        key="runs.diff",
        alt="Settings in which the selected runs differ.",
    )
    if len(chosen) > 1:
        st.caption(f"The same in all of them: {count(len(everything) - len(differing), 'other setting')}.")


def flat(config: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested settings under dotted names."""
    out: dict[str, object] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            out.update(flat(value, f"{prefix}{name}."))
        else:
            out[f"{prefix}{name}"] = value
    return out
