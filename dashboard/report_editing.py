"""Changes a report: its title, the order of its parts, its text."""

from collections.abc import Sequence

import streamlit as st

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.links import go
from dashboard.wording import escaped, failure
from data.catalog_sharing import LONGEST_TEXT, LONGEST_TITLE
from data.errors import LabError
from data.rows import ReportRow

Part = dict[str, str]
_TEXT_HELP = (
    "Markdown: # headings, **bold**, lists, links, tables, $formulas$. Pictures come as figures only."
)


def edit_report(lab: Lab, row: ReportRow) -> None:
    """Show how to rename a report, add text or a saved view at its end, and delete it."""
    with st.container(horizontal=True, gap="small", key="report.tools"):
        with (
            st.popover("Add text", icon=":material/notes:", key="report.add.text"),
            st.form("report.text", border=False, clear_on_submit=True),
        ):
            text = st.text_area("Text", max_chars=LONGEST_TEXT, height=200, width=560, help=_TEXT_HELP)
            if st.form_submit_button("Add", type="primary"):
                _keep(lab, row, [*row.parts, {"text": text or ""}])
        with st.popover("Add a saved view", icon=":material/bookmark:", key="report.add.view"):
            views = lab.store.catalog.saved_views()
            view = st.selectbox(
                "Saved view", views, index=None, width=420, placeholder="Choose one",
                format_func=lambda view: f"{view.title} ({view.study})" if view.study else view.title,
            )  # fmt: skip
            st.caption("Its link stands in the report. Export, below a figure, puts the figure itself here.")
            if st.button("Add", type="primary", key="report.view.add", disabled=view is None) and view:
                _keep(lab, row, [*row.parts, {"view": view.code}])
        with (
            st.popover("Rename", icon=":material/edit:", key="report.rename"),
            st.form("report.rename.form", border=False),
        ):
            title = st.text_input("Title", row.title, max_chars=LONGEST_TITLE, width=420)
            if st.form_submit_button("Save", type="primary"):
                _keep(lab, row, row.parts, title)
        with st.popover("Delete", icon=":material/delete:", key="report.delete"):
            st.markdown(f"Delete the report **{escaped(row.title)}**? The saved views in it stay.")
            if st.button("Delete", type="primary", key="report.delete.confirm"):
                lab.store.catalog.delete_report(row.code)
                go("reports")


def edit_part(lab: Lab, row: ReportRow, place: int) -> None:
    """Show how to move, change or remove one part of a report."""
    part, last = row.parts[place], len(row.parts) - 1
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        for label, icon, to in (("Up", "arrow_upward", place - 1), ("Down", "arrow_downward", place + 1)):
            st.button(
                label, icon=f":material/{icon}:", type="tertiary", key=f"report.{place}.{label.lower()}",
                disabled=not 0 <= to <= last, on_click=act,
                args=(_save, lab, row, _moved(row.parts, place, to)),
                help=f"Move part {place + 1} {label.lower()}",
            )  # fmt: skip
        if "text" in part:
            with (
                st.popover("Edit text", icon=":material/edit:", type="tertiary", key=f"report.{place}.edit"),
                st.form(f"report.{place}.text", border=False),
            ):
                text = st.text_area(
                    "Text", part["text"], max_chars=LONGEST_TEXT, height=240, width=560, help=_TEXT_HELP
                )
                if st.form_submit_button("Save", type="primary"):
                    _keep(lab, row, [*row.parts[:place], {"text": text or ""}, *row.parts[place + 1 :]])
        st.button(
            "Remove", icon=":material/close:", type="tertiary", key=f"report.{place}.remove", on_click=act,
            args=(_save, lab, row, [*row.parts[:place], *row.parts[place + 1 :]]),
            help=f"Take part {place + 1} out of the report",
        )  # fmt: skip


def _moved(parts: Sequence[Part], place: int, to: int) -> list[Part]:
    left = [*parts[:place], *parts[place + 1 :]]
    return [*left[: max(to, 0)], parts[place], *left[max(to, 0) :]]


def _save(lab: Lab, row: ReportRow, parts: Sequence[Part]) -> None:
    lab.store.catalog.save_report(row.title, parts, row.code)


def _keep(lab: Lab, row: ReportRow, parts: Sequence[Part], title: str | None = None) -> None:
    """Keep a report as a form asks for it, and show it; or say beside the form why not."""
    try:
        lab.store.catalog.save_report(row.title if title is None else title, parts, row.code)
    except LabError as error:
        st.error(failure(error), icon=":material/error:")
        return
    st.rerun()
