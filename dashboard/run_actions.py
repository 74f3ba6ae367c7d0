"""What can be done to selected runs: tag, note, archive, and delete with an undo."""

from collections.abc import Sequence

import streamlit as st

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.wording import count, escaped, spans
from data.rows import RunRow
from data.store import Store

UNDO = "runs.deleted"


def named(runs: Sequence[RunRow]) -> str:
    """Return the runs by name, "SS: seeds 0..3; RR: seed 7", as confirmations need it."""
    arms: dict[str, list[int]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run.seed)
    return "; ".join(
        f"{escaped(arm)}: {'seed' if len(seeds) == 1 else 'seeds'} {spans(seeds)}"
        for arm, seeds in arms.items()
    )


def actions(lab: Lab, chosen: Sequence[RunRow]) -> None:
    """Show the actions for a selection; each names the runs it will touch."""
    store, ids = lab.store, tuple(run.id for run in chosen)
    locked = not lab.access.may_change
    busy = [run for run in chosen if run.status in ("queued", "running")]
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key="runs.actions"):
        with st.popover("Tag", icon=":material/sell:", disabled=locked), st.form("runs.tag", border=False):
            tags = st.text_input("Tags", placeholder="for example: baseline, check", max_chars=120)
            remove = st.checkbox("Remove these tags instead")
            st.caption(named(chosen))
            if st.form_submit_button("Apply", type="primary"):
                words = [word.strip() for word in (tags or "").split(",") if word.strip()]
                store.catalog.tag_runs(ids, add=() if remove else words, remove=words if remove else ())
                st.rerun()
        with (
            st.popover("Note", icon=":material/edit_note:", disabled=locked),
            st.form("runs.note", border=False),
        ):
            note = st.text_area("Note", value=chosen[0].note if len(chosen) == 1 else "", max_chars=2000)
            st.caption(named(chosen))
            if st.form_submit_button("Save", type="primary"):
                for run in ids:
                    store.catalog.note_run(run, note or "")
                st.rerun()
        stowed = all(run.archived_at is not None for run in chosen)
        st.button(
            "Take out of the archive" if stowed else "Archive",
            icon=":material/unarchive:" if stowed else ":material/archive:",
            key="runs.archive",
            disabled=locked,
            help="Archived runs leave the lists; they still count in every figure, so no mean moves.",
            on_click=act,
            args=(_restore if stowed else _archive, store, ids),
        )
        with st.popover("Delete", icon=":material/delete:", disabled=locked or bool(busy), key="runs.delete"):
            st.markdown(f"Delete {count(len(chosen), 'run')}?")
            st.caption(f"{named(chosen)}. They leave every figure; it can be undone.")
            st.button(
                "Delete", type="primary", key="runs.delete.confirm", on_click=act, args=(_delete, store, ids)
            )
        if busy:
            st.caption(f"{count(len(busy), 'selected run')} still training: stop the job before deleting.")


def undo_bar(lab: Lab, study: str) -> None:
    """Offer to bring back what was deleted, from this session or before."""
    gone = lab.store.catalog.deleted_runs(study)
    recent = [run for run in gone if run.id in set(st.session_state.get(UNDO, ()))]
    if recent:
        with st.container(
            border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
        ):
            st.markdown(f"Deleted {count(len(recent), 'run')} — {named(recent)}.", width="stretch")
            st.button(
                "Undo", icon=":material/undo:", key="runs.undo", on_click=act,
                args=(_restore, lab.store, tuple(run.id for run in recent)),
            )  # fmt: skip


def _archive(store: Store, ids: Sequence[int]) -> None:
    store.catalog.archive_runs(ids)


def _restore(store: Store, ids: Sequence[int]) -> None:
    store.catalog.restore_runs(ids)


def _delete(store: Store, ids: Sequence[int]) -> None:
    store.catalog.delete_runs(ids)
    st.session_state[UNDO] = tuple(ids)
