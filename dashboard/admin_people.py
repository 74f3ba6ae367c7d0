"""Who may sign in, in which role; a form to add somebody, a button to let them in no more."""

from typing import get_args

import pandas as pd
import streamlit as st

from dashboard.access import sign_in_required
from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.wording import escaped
from data.people import ROLES, Role
from data.rows import PersonRow
from data.settings import settings

_CLICKED = "admin.people.shut"
LIMITS = {
    "running": "Jobs at once",
    "queued": "Jobs in the queue",
    "seeds": "Runs of a training",
    "hours": "Hours of a job",
    "storage_gb": "Storage, GiB",
}


def show(lab: Lab) -> None:
    """Show everybody with their role, and let an administrator change it."""
    _invited()
    rows = lab.store.catalog.people()
    if rows:
        _table(lab, rows)
        _limits(lab, rows)
    else:
        st.info(
            "Nobody has signed in yet, and nobody was added."
            if sign_in_required()
            else "This lab runs without a sign-in: whoever opens it on this machine is its administrator. "
            "`docs/running-a-lab.md` says how to let people sign in.",
            icon=":material/group:",
        )
    with st.form("admin.person", border=True, clear_on_submit=True, width=720):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            address = st.text_input(
                "E-mail address", max_chars=200, key="admin.person.address", placeholder="ada@lab.example"
            )
            role: Role = st.selectbox(
                "Role",
                get_args(Role),
                index=1,
                width=360,
                key="admin.person.role",
                format_func=lambda role: f"{role}: {ROLES[role]}",
            )
        given = st.form_submit_button("Give this role", icon=":material/person_add:", type="primary")
    if given:
        lab.store.catalog.set_role(address or "", role)
        st.rerun()


def _limits(lab: Lab, rows: list[PersonRow]) -> None:
    """Let an administrator give somebody limits of their own."""
    usual = settings().limits
    with st.expander("Limits of one person", key="admin.limits", type="compact"):
        name = st.selectbox("Person", [row.name for row in rows], key="admin.limits.person", width=320)
        own = next(row.limits for row in rows if row.name == name)
        with st.form("admin.limits.form", border=False):
            with st.container(horizontal=True, vertical_alignment="bottom"):
                asked = {
                    limit: st.number_input(
                        words, min_value=0, value=own.get(limit), key=f"admin.limits.{limit}.{name}",
                        width=150, placeholder=f"{getattr(usual, limit):g}",
                    )
                    for limit, words in LIMITS.items()
                }  # fmt: skip
            st.caption("An empty field is the lab's own limit, which stands in it; 0 is no limit.")
            given = st.form_submit_button("Set these limits")
    if given:
        lab.store.catalog.set_limits(
            name, {limit: value for limit, value in asked.items() if value is not None}
        )
        st.rerun()


def _invited() -> None:
    asked = settings().sign_in
    if not asked.metadata_url:
        return
    told = [f"everybody at {domain}" for domain in asked.domains] + list(asked.people)
    others = f"as {asked.role}: {', '.join(told)}" if told else "nobody but those below"
    st.caption(
        f"May sign in, by the configuration, {escaped(others)}. Always administrators: "
        f"{escaped(', '.join(asked.admins)) or 'nobody'}. What is set here goes before."
    )


def _table(lab: Lab, rows: list[PersonRow]) -> None:
    frame = pd.DataFrame(
        {
            "Person": [row.name for row in rows],
            "Name": [row.shown_as for row in rows],
            "Role": ["shut out" if row.shut_out_at else row.role for row in rows],
            "Added": [row.created_at for row in rows],
            "Last seen": [row.seen_at for row in rows],
        }
    )
    names = [row.name for row in rows if row.shut_out_at is None]
    moments = {
        name: st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm") for name in ("Added", "Last seen")
    }
    st.dataframe(
        frame, hide_index=True, key="admin.people", alt="The people of this lab and their roles.",
        column_config=moments,
    )  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Let in no more", names, index=None, key=_CLICKED, placeholder="Choose somebody", width=320,
            help="Their next click, link or token is refused; their studies and notes stay.",
        )  # fmt: skip
        st.button(
            "Shut out", icon=":material/block:", key="admin.people.shut.do", disabled=chosen is None,
            on_click=act, args=(lab.store.catalog.shut_out, chosen),
        )  # fmt: skip
