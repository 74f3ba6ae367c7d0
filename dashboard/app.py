"""The dashboard's entry: navigation, one page at a time, and the one place where errors become words."""

import traceback
from functools import partial
from pathlib import Path

import streamlit as st

from dashboard.callbacks import raise_failure
from dashboard.controls import arrive
from dashboard.corner import corner
from dashboard.lab import Lab, find_lab
from dashboard.report_adding import ask
from dashboard.views import View, views
from dashboard.welcome import welcome
from dashboard.wording import failure
from data.errors import LabError

HERE = Path(__file__).parent


def show(view: View, lab: Lab | LabError | None) -> None:
    """Show one page: title, question, view; whatever goes wrong is said in words here and nowhere else."""
    arrive(view.name, lab)
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="page.head"
    ):
        with st.container(gap="xxsmall", width="stretch"):
            st.title(view.title, anchor=False)
            st.caption(view.question)
        if isinstance(lab, Lab):
            corner(lab)
    try:
        raise_failure()
        if isinstance(lab, LabError):
            raise lab
        if lab is None:
            welcome()
        else:
            view.render(lab)
            ask(lab)
    except LabError as error:
        st.error(failure(error), icon=":material/error:")
    except Exception as error:  # noqa: BLE001 - the boundary: everything unexpected is shown, nothing is swallowed
        st.error(
            f"**This page could not be drawn.** {type(error).__name__}: {error}\n\n"
            "Reload the page; if it happens again, report the text below.",
            icon=":material/error:",
        )
        with st.expander("Technical details"):
            st.code("".join(traceback.format_exception(error)), language="text")


def main() -> None:
    """Run the app once, as Streamlit does for every interaction."""
    st.set_page_config(page_title="Detour", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.html("<style>.stApp { font-variant-numeric: tabular-nums; }</style>")
    st.logo(str(HERE / "logo.svg"), size="large")
    lab = _lab()
    pages = [
        st.Page(
            partial(show, view, lab), title=view.title, icon=view.icon, url_path=view.name, help=view.question
        )
        for view in views()
        if not isinstance(lab, Lab) or lab.shows(view.name)
    ]
    st.navigation(pages, position="top").run()


def _lab() -> Lab | LabError | None:
    """Return the lab as whoever looks may see it, or why they may not."""
    try:
        return find_lab()
    except LabError as error:
        return error


if __name__ == "__main__":
    main()
