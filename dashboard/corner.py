"""The corner of every page where somebody who signed in sees as whom, and signs out."""

import streamlit as st

from dashboard.lab import Lab
from dashboard.links import link
from dashboard.wording import escaped
from data.people import ROLES


def corner(lab: Lab) -> None:
    """Show who is signed in; nothing on one's own machine."""
    if lab.access.view is not None:
        st.markdown(
            ":gray-badge[public link]", width="content", help="You see this view only. It changes nothing."
        )
    elif not lab.access.person.local:
        name = lab.access.name
        with st.popover(escaped(name.partition("@")[0]), icon=":material/account_circle:", key="corner"):
            st.markdown(f"**{escaped(name)}**")
            st.caption(f"{lab.access.role.capitalize()}: {ROLES[lab.access.role]}.")
            link("admin", "Your tokens and limits", ":material/key:")
            st.button("Sign out", icon=":material/logout:", key="corner.out", on_click=st.logout)
