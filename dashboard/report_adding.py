"""Puts a figure that is on the page into a report: as it is now, with a saved view that leads back here."""

from collections.abc import Callable

import streamlit as st

from dashboard.figure_files import Figure, Place
from dashboard.kept_figures import keep
from dashboard.lab import Lab
from dashboard.wording import escaped, failure
from data.catalog_sharing import LONGEST_TITLE
from data.errors import LabError
from data.rows import ReportRow

MAY = "report.may"
"""In the session: whether whoever looks may write reports; figures know nothing of people."""
_ASKED, _TIMES = "report.asked", "report.times"
NEW = "A new report"


def add_button(make: Callable[[], Figure], key: str) -> None:
    """Offer to add a figure to a report, to those who may write one."""
    if not st.session_state.get(MAY):
        return
    if st.button("Add to a report", icon=":material/post_add:", key=f"{key}.report", type="tertiary"):
        st.session_state[_ASKED] = make()
        st.session_state[_TIMES] = int(st.session_state.get(_TIMES) or 0) + 1
        st.rerun()  # of the whole page: a refresh of the part that asked would close the dialog


def times_asked() -> str:
    """Return a word that changes when a dialog opens: a popover named with it closes then."""
    return str(st.session_state.get(_TIMES) or "")


def ask(lab: Lab) -> None:
    """Ask to which report a figure goes that somebody wants to add."""
    if isinstance(figure := st.session_state.get(_ASKED), Figure):
        _dialog(lab, figure)


def _forget() -> None:
    st.session_state.pop(_ASKED, None)


@st.dialog("Add to a report", icon=":material/post_add:", on_dismiss=_forget)
def _dialog(lab: Lab, figure: Figure) -> None:
    person = lab.access.person
    mine = [row for row in lab.store.catalog.reports() if row.person == person.name or person.may("admin")]
    chosen = st.selectbox(
        "Report", [None, *mine], format_func=lambda row: NEW if row is None else row.title, key="report.into",
        index=1 if mine else 0,
    )  # fmt: skip
    title = ""
    if chosen is None:
        title = st.text_input("Title of the report", max_chars=LONGEST_TITLE, key="report.title")
    heading = st.text_input(
        "Heading above the figure", _heading(figure.place), max_chars=LONGEST_TITLE, key="report.heading"
    )
    st.caption(
        "The figure is kept as it is now, with its numbers. A link beside it shows it with later data."
    )
    if st.button("Add", type="primary", key="report.add"):
        try:
            row = add(lab, figure, heading, chosen, title)
        except LabError as error:
            st.error(failure(error), icon=":material/error:")
            return
        _forget()
        st.toast(f"Added to “{escaped(row.title)}”.", icon=":material/post_add:")
        st.rerun()


def add(lab: Lab, figure: Figure, heading: str, report: ReportRow | None, title: str = "") -> ReportRow:
    """Keep a figure and a way back to where it stands, at the end of a report.

    Args:
        lab: in the hands of whoever adds it.
        figure: to be kept.
        heading: above it.
        report: that is there; None for a new one.
        title: of the new one.

    Raises:
        LabError: no study is shown, a text is missing, the figure is too large, or the report another's.
    """
    catalog, place = lab.store.catalog, figure.place
    if not heading.strip() or (report is None and not title.strip()):
        raise LabError("A title is needed", "A report and a figure in it have a title.", "Say what it shows.")
    key = keep(lab.store, figure)
    view = catalog.save_view(place.view, place.study, heading, place.parameters)
    part = {"figure": key, "study": place.study, "view": view.code, "title": heading}
    if report is None:
        return catalog.save_report(title, [part])
    now = catalog.report(report.code)
    return catalog.save_report(now.title, [*now.parts, part], now.code)


def _heading(place: Place) -> str:
    return f"{place.view.replace('_', ' ').capitalize()} of {place.study}"[:LONGEST_TITLE]
