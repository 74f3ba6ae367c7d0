"""Links from one view to another that carry the choice along."""

import streamlit as st


def link(view: str, label: str, icon: str, **parameters: str) -> None:
    """Show a link to a view, by its name in the address, with some of its controls set."""
    page = st.Page(_registered_elsewhere, title=label, url_path=view)
    st.page_link(page, label=label, icon=icon, query_params=parameters)


def go(view: str) -> None:
    """Leave for a view, by its name in the address; nothing after this is drawn."""
    st.switch_page(st.Page(_registered_elsewhere, title=view, url_path=view))


def _registered_elsewhere() -> None:
    """Stand for a page that `app.py` registered under the same address."""
    raise RuntimeError("This page is drawn by the view of the same address.")
