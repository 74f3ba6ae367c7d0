"""A report: text and figures in an order, each figure as it was, with a link to how it would be now."""

from pathlib import Path

import streamlit as st

from dashboard import share_links
from dashboard.figure_again import show_again
from dashboard.kept_figures import load
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.report_editing import Part, edit_part, edit_report
from dashboard.wording import coded, escaped, failure
from data.errors import LabError

PRINTED = Path(__file__).with_name("report_print.css")
DARK = "<style>@media print { .marks { filter: invert(1) hue-rotate(180deg) brightness(1.12); } }</style>"
"""Lets figures that are drawn for a dark page be dark on white paper."""


def report_page(lab: Lab, code: str) -> None:
    """Show a report; to whom it belongs, and to administrators, also how to change it.

    Raises:
        LabError: there is no such report.
    """
    row = lab.store.catalog.report(code)
    person = lab.access.person
    mine = lab.access.may_change and (row.person == person.name or person.may("admin"))
    st.html(PRINTED)
    if st.context.theme.type == "dark":
        st.html(DARK)
    with st.container(horizontal=True, vertical_alignment="center", key="report.bar"):
        link("reports", "All reports", ":material/arrow_back:")
        editing = mine and st.toggle("Edit", key="report.edit", bind="query-params")
        st.caption("Your browser prints it: Ctrl+P, or ⌘P.", text_alignment="right")
    st.header(escaped(row.title), anchor=False)
    st.caption(f"{escaped(row.person)} · changed {row.changed_at:%d %b %Y}")
    if editing:
        edit_report(lab, row)
    for place, part in enumerate(row.parts):
        with st.container(key=f"report.part.{place}", gap="small"):
            if editing:
                edit_part(lab, row, place)
            _draw(lab, part, f"report.{row.code}.{place}")
    if not row.parts:
        st.info(
            "Nothing is in it yet. Export, below any figure, adds it here; text is added by Edit.",
            icon=":material/article:",
        )


def safe_markdown(text: str) -> str:
    """Return a text whose Markdown loads nothing by itself: what would be a picture stays text."""
    return text.replace("![", "!\u2060[")


def _draw(lab: Lab, part: Part, key: str) -> None:
    if "text" in part:
        st.markdown(safe_markdown(part["text"]))
    elif "figure" in part:
        _figure(lab, part, key)
    else:
        _view(lab, part["view"])


def _figure(lab: Lab, part: Part, key: str) -> None:
    st.subheader(escaped(part["title"]), anchor=False)
    try:
        kept, row = load(lab.store, part["figure"])
        version = lab.store.traces.version(part["study"])
    except LabError as error:  # of this figure alone: the others stand
        st.warning(failure(error), icon=":material/help:")
        return
    show_again(kept, key)
    if version != kept.how.data:
        st.badge(
            "the data have moved on", icon=":material/history:", color="orange",
            help="The study has other rows now than when this figure was drawn. The figure stays as it was.",
        )  # fmt: skip
    st.caption(
        f"{coded(part['study'])}, data {coded(kept.how.data)}, code {coded(kept.how.code)}, drawn on "
        f"{kept.made_at:%d %b %Y} by {escaped(str(row.summary['person']))}."
    )
    _live(lab, part["view"])


def _view(lab: Lab, code: str) -> None:
    try:
        title = lab.store.catalog.saved_view(code).title
    except LabError:
        title = "A saved view"
    st.subheader(escaped(title), anchor=False)
    _live(lab, code)


def _live(lab: Lab, code: str) -> None:
    """Show where the view is seen with the data of today."""
    try:
        view = lab.store.catalog.saved_view(code)
    except LabError:
        st.caption("The view it was saved with was deleted.")
        return
    address = share_links.short(code)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        link(view.view, "See it as it would be drawn today", ":material/open_in_new:", saved=code)
        st.caption(f"[{address}]({address})", width="content")
