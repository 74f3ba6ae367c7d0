"""What can be done to a study on its card: pin, archive, and delete with an undo."""

from collections.abc import Callable, Collection

import streamlit as st

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.wording import ago, coded, count, escaped
from data.errors import LabError
from data.rows import StudyRow

_GONE = "studies.gone"


def study_menu(lab: Lab, study: StudyRow, owners: Collection[str], runs: int, busy: bool) -> None:
    """Show the actions for one study; what somebody may not do is disabled and says why.

    Args:
        lab: in the hands of whoever looks.
        study: the study.
        owners: to whom its runs belong.
        runs: how many there are.
        busy: whether a job is queued or running on it.
    """
    catalog, key = lab.store.catalog, f"studies.{study.name}"
    why = _not_yours(lab, study, owners)
    with st.popover("More", icon=":material/more_horiz:", type="tertiary", key=f"{key}.more"):
        pinned = study.pinned_at is not None
        st.button(
            "Unpin" if pinned else "Pin", icon=":material/keep_off:" if pinned else ":material/keep:",
            key=f"{key}.pin", disabled=not lab.access.may_change, on_click=act,
            args=(catalog.pin_study, study.name, not pinned),
            help="Pinned studies stand before the others, for everybody.",
        )  # fmt: skip
        st.button(
            "Archive", icon=":material/archive:", key=f"{key}.archive", disabled=bool(why), on_click=act,
            args=(_put_away, lab, study.name, catalog.archive_study),
            help=why or "It leaves the lists; links to it still work.",
        )  # fmt: skip
        if why or busy:
            st.caption(why or "A job works on it: wait or stop it before deleting.")
            return
        with st.form(f"{key}.delete", border=False):
            told = f"{count(runs, 'run')}, and all that was computed from them"
            st.markdown(f"Delete {coded(study.name)}, its {told}? It can be undone.")
            typed = st.text_input("Type its name to delete it", placeholder=study.name, autocomplete="off")
            if st.form_submit_button("Delete", icon=":material/delete:"):
                if (typed or "").strip() == study.name:
                    _put_away(lab, study.name, catalog.delete_study)
                    st.rerun()
                st.error(f"Nothing was deleted: its name is {coded(study.name)}.", icon=":material/error:")


def undo_study(lab: Lab) -> None:
    """Offer to bring back the study that this session archived or deleted last."""
    name = st.session_state.get(_GONE)
    if name is None:
        return
    with st.container(
        border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
    ):
        st.markdown(f"{coded(name)} was put away.", width="stretch")
        st.button("Undo", icon=":material/undo:", key="studies.undo", on_click=act, args=(_bring, lab, name))


def put_away(lab: Lab) -> None:
    """List the archived and the deleted studies, each with a way back."""
    catalog = lab.store.catalog
    archived = [row for row in catalog.studies(archived=True) if row.archived_at is not None]
    deleted = catalog.deleted_studies()
    if not archived and not deleted:
        return
    with st.expander(f"Archived and deleted ({len(archived) + len(deleted)})", icon=":material/archive:"):
        for row in [*archived, *deleted]:
            moment = row.deleted_at or row.archived_at
            what = "deleted" if row.deleted_at else "archived"
            with st.container(
                horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"
            ):
                told = f"**{escaped(row.title)}** {coded(row.name)}, {what}"
                st.markdown(f"{told} {ago(moment)}" if moment else told, width="stretch")
                st.button(
                    "Bring back" if row.deleted_at else "Take out of the archive", icon=":material/undo:",
                    key=f"studies.{row.name}.restore", disabled=not lab.access.may_change, on_click=act,
                    args=(_bring, lab, row.name),
                )  # fmt: skip


def _not_yours(lab: Lab, study: StudyRow, owners: Collection[str]) -> str:
    """Return why somebody may not put this study away; "" where they may."""
    person = lab.access.person
    try:
        person.require("researcher")
        person.require_own(owners or {study.person}, "the study")
    except LabError as error:
        return f"{error.message} {error.remedy}"
    return ""


def _put_away(lab: Lab, name: str, how: Callable[[str], None]) -> None:
    how(name)
    st.session_state[_GONE] = name


def _bring(lab: Lab, name: str) -> None:
    lab.store.catalog.restore_study(name)
    if st.session_state.get(_GONE) == name:
        del st.session_state[_GONE]
