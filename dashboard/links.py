"""Links from one view to another that carry the choice along."""

from collections.abc import Mapping, Sequence

import streamlit as st

ONLY = "links.only"
"""In the session: the one view that whoever looks may open; none for those who may open all."""


HOME = "studies"
"""The view at the lab's own address."""


def path(view: str) -> str:
    """Return where a view stands below the lab's address."""
    return "" if view == HOME else view


def link(view: str, label: str, icon: str, **parameters: str) -> None:
    """Show a link to a view, by its name in the address, with some controls set; none to a closed one."""
    if st.session_state.get(ONLY) not in (None, view):
        return
    page = st.Page(_registered_elsewhere, title=label, url_path=view)
    st.page_link(page, label=label, icon=icon, query_params=parameters)


def go(view: str, parameters: Mapping[str, str | Sequence[str]] | None = None) -> None:
    """Leave for a view, by its name in the address; nothing after this is drawn."""
    page = st.Page(_registered_elsewhere, title=view, url_path=view)
    st.switch_page(page, query_params=parameters or {})


def named(parameter: str) -> str:
    """Return what the address names under a parameter that no control has; "" for nothing.

    A link from a page to itself tells the page its parameters and leaves the browser's address as it was,
    from which the next click would take them: so it is brought in step here.
    """
    value, key = st.query_params.get(parameter, ""), f"links.{parameter}"
    if st.session_state.get(key, value) != value:
        st.query_params.update({parameter: value} if value else {})
    st.session_state[key] = value
    return value


def _registered_elsewhere() -> None:
    """Stand for a page that `app.py` registered under the same address."""
    raise RuntimeError("This page is drawn by the view of the same address.")
