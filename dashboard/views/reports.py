"""What people made of the studies: reports, saved views, and figures that come back from a file."""

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from dashboard.figure_again import show_again
from dashboard.figure_files import LARGEST, from_json
from dashboard.lab import Lab
from dashboard.links import go, link, named
from dashboard.report_page import report_page
from dashboard.share import saved_actions
from dashboard.views import views
from dashboard.wording import ago, coded, count, escaped, failure
from data.catalog_sharing import LONGEST_TITLE
from data.errors import LabError
from data.rows import ReportRow, SavedViewRow

TITLE = "Reports"
ICON = ":material/article:"
QUESTION = "What did people make of it?"
ORDER = 95

REPORT = "report"
"""In the address: which report is open."""
MOST = 30
"""Rows of a list; what is searched for comes before the rest."""
Row = TypeVar("Row", ReportRow, SavedViewRow)
PARTS = ("Reports", "Saved views", "Open a figure")


def render(lab: Lab) -> None:
    """Show one report, or the lists."""
    if code := named(REPORT):
        report_page(lab, code)
        return
    chosen = st.segmented_control(
        "Part", PARTS, default=PARTS[0], required=True, key="reports.part", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if chosen == "Saved views":
        _saved_views(lab)
    elif chosen == "Open a figure":
        _open_figure(lab)
    else:
        _reports(lab)


def _reports(lab: Lab) -> None:
    rows = lab.store.catalog.reports()
    found = _searched(rows, lambda row: f"{row.title} {row.person}", "reports.search")
    for row in found:
        with st.container(border=True, gap="xxsmall"):
            link("reports", escaped(row.title), ICON, report=row.code)
            told = f"{count(len(row.parts), 'part')} · {escaped(row.person)}"
            st.caption(f"{told} · changed {ago(row.changed_at)}")
    if not rows:
        st.info(
            "There is no report yet. Export, below any figure, adds it to one; or begin with a title.",
            icon=ICON,
        )
    if not lab.access.may_change:
        return
    with (
        st.form("reports.new", border=True, width=720),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        title = st.text_input("Title of a new report", max_chars=LONGEST_TITLE)
        begun = st.form_submit_button("Begin a report", icon=":material/post_add:", type="primary")
    if begun:
        try:
            row = lab.store.catalog.save_report(title or "", [])
        except LabError as error:
            st.error(failure(error), icon=":material/error:")
        else:
            st.query_params[REPORT] = row.code
            st.rerun()


def _saved_views(lab: Lab) -> None:
    rows = lab.store.catalog.saved_views()
    words = lambda row: f"{row.title} {row.study} {row.view} {row.person}"  # noqa: E731 - of both lists one line
    for row in _searched(rows, words, "reports.views.search"):
        _saved_view(lab, row)
    if not rows:
        st.info(
            "No view is saved yet. Share, at the top of every page, keeps it under a short link.",
            icon=":material/bookmarks:",
        )


def _saved_view(lab: Lab, row: SavedViewRow) -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        with st.container(gap="xxsmall", width="stretch"):
            link(row.view, escaped(row.title), ":material/bookmark:", saved=row.code)
            of = f" of {coded(row.study)}" if row.study else ""
            public = " · public link" if row.public_at else ""
            st.caption(
                f"{escaped(row.view.replace('_', ' ').capitalize())}{of} · {escaped(row.person)} · "
                f"{ago(row.created_at)}{public}"
            )
        with st.popover("Link", icon=":material/share:", type="tertiary", key=f"reports.{row.code}.link"):
            saved_actions(lab, row, f"reports.{row.code}")


def _open_figure(lab: Lab) -> None:
    st.markdown(
        "Drop the JSON that Export wrote below a figure: it is shown again as it was, with its numbers."
    )
    file = st.file_uploader(
        "Figure (JSON)", type="json", key="reports.file", max_upload_size=LARGEST >> 20,
        label_visibility="collapsed",
    )  # fmt: skip
    if file is None:
        return
    try:
        kept = from_json(file.getvalue())
    except LabError as error:
        st.error(failure(error), icon=":material/error:")
        return
    of = f" of {coded(kept.place.study)}" if kept.place.study else ""
    st.caption(f"Drawn on {kept.made_at:%d %b %Y}{of}, from data {coded(kept.how.data)}.")
    show_again(kept, "reports.opened")
    here = {row.name for row in lab.store.catalog.studies(archived=True)}
    if kept.place.study in here and kept.place.view in {view.name for view in views()}:
        # No link: an address with all parameters may be longer than servers take.
        if st.button("See it as it would be drawn today", icon=":material/open_in_new:", key="reports.today"):
            go(kept.place.view, kept.place.parameters)
    else:
        st.caption("This lab does not have its study, so it cannot be drawn anew here.")


def _searched(rows: list[Row], words: Callable[[Row], str], key: str) -> list[Row]:
    """Ask for words, and return the rows that have them all, at most `MOST`."""
    asked = st.text_input("Find", key=key, placeholder="Title, study or person", width=420) or ""
    found = [row for row in rows if all(word in words(row).lower() for word in asked.lower().split())]
    if len(found) > MOST:
        st.caption(f"{MOST} of {len(found):,}; more words find fewer.")
    elif asked and not found:
        st.caption("Nothing has these words.")
    return found[:MOST]
