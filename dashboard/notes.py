"""What people wrote about a study or a state, the oldest first, with a form to say more."""

from collections.abc import Mapping, Sequence

import streamlit as st

from dashboard.callbacks import act
from dashboard.fits import Fit
from dashboard.lab import Lab
from dashboard.parts import part
from dashboard.wording import ago, escaped, failure
from data.errors import LabError
from data.rows import NoteRow

LONGEST = 4000
"""Characters of a note."""
STUDY = "study"
"""What a note on a study as a whole is about."""


def study_notes(lab: Lab, study: str, notes: Sequence[NoteRow]) -> None:
    """Show the notes on a study, which the caller has at hand for all studies.

    Args:
        lab: in the hands of whoever looks.
        study: its name.
        notes: those about it as a whole.
    """
    _popover(lab, study, notes, {STUDY: ""}, f"notes.{study}")


def state_notes(lab: Lab, fit: Fit) -> None:
    """Show the notes on the states of a fit."""
    subjects = {about_state(fit.row.id, state): f"State {state}" for state in range(fit.n_states)}

    def draw() -> None:
        notes = [row for row in lab.store.catalog.notes(fit.row.study) if row.about in subjects]
        _popover(lab, fit.row.study, notes, subjects, f"notes.fit{fit.row.id}")

    part(draw)


def about_state(fit: int, state: int) -> str:
    """Return what a note on a state is about, for example "fit 12, state 3"."""
    return f"fit {fit}, state {state}"


def plain(text: str) -> str:
    """Return a text as people wrote it, as Markdown that means nothing: its lines, and nothing else of it."""
    return "  \n".join(escaped(line) for line in text.splitlines())


def _popover(lab: Lab, study: str, notes: Sequence[NoteRow], subjects: Mapping[str, str], key: str) -> None:
    if lab.access.view is not None:  # people wrote to each other, not to whoever has a link
        return
    label = f"Notes ({len(notes)})" if notes else "Notes"
    with st.popover(label, icon=":material/sticky_note_2:", type="tertiary", key=key):
        for row in notes:
            _note(lab, row, subjects[row.about])
        if not notes:
            st.caption("Nobody has written a note here yet.")
        if lab.access.may_change:
            _form(lab, study, subjects, key)


def _note(lab: Lab, row: NoteRow, subject: str) -> None:
    person = lab.access.person
    with st.container(border=True, gap="xsmall", width=420):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            who = f"{escaped(row.person)}, {ago(row.created_at)}"
            st.caption(f"{subject} · {who}" if subject else who, width="stretch")
            if lab.access.may_change and (row.person == person.name or person.may("admin")):
                st.button(
                    "Delete this note", icon=":material/delete:", type="tertiary",
                    key=f"note.{row.id}.delete", on_click=act, args=(lab.store.catalog.delete_note, row.id),
                )  # fmt: skip
        st.markdown(plain(row.text))


def _form(lab: Lab, study: str, subjects: Mapping[str, str], key: str) -> None:
    with st.form(f"{key}.form", border=False, clear_on_submit=True):
        if len(subjects) > 1:
            st.selectbox("About", list(subjects), format_func=subjects.__getitem__, key=f"{key}.about")
        st.text_area("Note", max_chars=LONGEST, height=90, width=420, key=f"{key}.text")
        st.form_submit_button(
            "Write", icon=":material/edit_note:", type="primary", on_click=_write,
            args=(lab, study, next(iter(subjects)), key),
        )  # fmt: skip
    if isinstance(error := st.session_state.pop(f"{key}.error", None), LabError):
        st.error(failure(error), icon=":material/error:")


def _write(lab: Lab, study: str, about: str, key: str) -> None:
    text = str(st.session_state.get(f"{key}.text") or "")
    try:
        lab.store.catalog.add_note(study, st.session_state.get(f"{key}.about", about), text)
    except LabError as error:
        st.session_state[f"{key}.error"] = error
