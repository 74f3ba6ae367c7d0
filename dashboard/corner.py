"""The corner of every page: sharing what is on it, and where somebody who signed in sees as whom."""

import streamlit as st

from dashboard.lab import Lab
from dashboard.links import ONLY, link
from dashboard.report_adding import MAY
from dashboard.share import share
from dashboard.wording import escaped
from data.people import ROLES


def corner(lab: Lab) -> None:
    """Show what can be shared, and who is signed in; nothing of that on one's own machine."""
    st.session_state[ONLY] = lab.access.view
    st.session_state[MAY] = lab.access.view is None and lab.access.may_change
    if lab.access.view is not None:
        st.markdown(
            ":gray-badge[public link]", width="content", help="You see this view only. It changes nothing."
        )
        return
    share(lab)
    if not lab.access.person.local:
        name = lab.access.name
        with st.popover(escaped(name.partition("@")[0]), icon=":material/account_circle:", key="corner"):
            st.markdown(f"**{escaped(name)}**")
            st.caption(f"{lab.access.role.capitalize()}: {ROLES[lab.access.role]}.")
            link("admin", "Your tokens and limits", ":material/key:")
            st.button("Sign out", icon=":material/logout:", key="corner.out", on_click=st.logout)
