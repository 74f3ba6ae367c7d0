"""What somebody may do here, and the tokens by which their programs do it."""

from typing import get_args
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from dashboard.admin_storage import used
from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.wording import escaped
from data.catalog_tokens import SCOPES
from data.people import ROLES
from data.rows import Scope, TokenRow
from data.settings import settings
from data.storage import by

_NEW, _CLICKED = "admin.token.new", "admin.token.revoked"
DAYS = {"30 days": 30, "90 days": 90, "a year": 365, "for ever": None}
EXAMPLE = """from engine.log import Run

with Run("my-study", arm="SGD", seed=0, store="{address}") as run:  # the token is in DETOUR_TOKEN
    for step, batch in enumerate(batches):
        run.log(step, loss=train_on(batch))"""


def show(lab: Lab) -> None:
    """Show a person's role and tokens, and make and revoke tokens."""
    person = lab.access.person
    st.markdown(f"You are **{escaped(person.name)}**, {person.role}: {ROLES[person.role]}.")
    if not person.local:
        _limits(lab)
    st.subheader("Tokens", anchor=False)
    st.caption(
        "By a token a program reaches the lab without a browser: a training loop that logs itself, a script "
        "that reads or starts. It may never do more than you."
    )
    _told_once()
    rows = lab.store.catalog.tokens()
    _table(lab, rows)
    with st.form("admin.token", border=True, clear_on_submit=True, width=720):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                "What it is for",
                max_chars=200,
                key="admin.token.name",
                placeholder="for example: cluster, nightly runs",
            )
            scope: Scope = st.selectbox(
                "It may", get_args(Scope), format_func=lambda scope: SCOPES[scope], width=300
            )
            days = st.selectbox("It is valid", list(DAYS), index=1, width=130)
        made = st.form_submit_button(
            "Make a token", icon=":material/key:", type="primary", disabled=not lab.access.may_change
        )
    if made:
        row, text = lab.store.catalog.add_token(name or "", scope, DAYS[days])
        st.session_state[_NEW] = (row.name, text)
        st.rerun()


def _limits(lab: Lab) -> None:
    """Say what one person may take here, and what they took."""
    most = lab.store.catalog.limits_for(lab.access.name)
    kept = by(used(lab.store.machine), lambda one: one.person).get(lab.access.name, 0)
    told = [
        f"{most.running} jobs at once" if most.running else "",
        f"{most.queued} in the queue" if most.queued else "",
        f"{most.seeds:,} runs in one training" if most.seeds else "",
        f"{most.hours:g} hours a job" if most.hours else "",
        f"{most.storage_gb:g} GiB, of which you keep {kept / 2**30:,.2f}" if most.storage_gb else "",
    ]
    st.caption(f"You may have {', '.join(part for part in told if part) or 'as much as there is'}.")


def _told_once() -> None:
    """Show a token that was just made; it is kept nowhere, so a reload forgets it."""
    if (new := st.session_state.pop(_NEW, None)) is None:
        return
    name, text = new
    with st.container(border=True, key="admin.token.text"):
        st.success(
            f"The token for **{escaped(name)}** is shown this once. Copy it now.", icon=":material/key:"
        )
        st.code(text, language="text")
        st.code(EXAMPLE.format(address=settings().server.public_url or _origin()), language="python")


def _origin() -> str:
    address = urlsplit(st.context.url or "http://localhost:8501")
    return f"{address.scheme}://{address.netloc}"


def _table(lab: Lab, rows: list[TokenRow]) -> None:
    valid = [row for row in rows if row.revoked_at is None]
    if not valid:
        st.info("There is no token yet.", icon=":material/key_off:")
        return
    frame = pd.DataFrame(
        {
            "For": [row.name for row in valid],
            "May": [SCOPES[row.scope] for row in valid],
            "Of": [row.person for row in valid],
            "Made": [row.created_at for row in valid],
            "Last used": [row.last_used_at for row in valid],
            "Valid until": [row.expires_at for row in valid],
            "Revoke": [":material/block: Revoke"] * len(valid),
        }
    )
    moments = {
        name: st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")
        for name in ("Made", "Last used", "Valid until")
    }
    numbers = [row.id for row in valid]
    st.dataframe(
        frame, hide_index=True, key="admin.tokens", alt="Tokens that are valid.",
        column_config={
            **moments,
            "Revoke": st.column_config.ButtonColumn(
                "", key=_CLICKED, on_click=act, args=(_revoke, lab, numbers)
            ),
        },
    )  # fmt: skip


def _revoke(lab: Lab, numbers: list[int]) -> None:
    lab.store.catalog.revoke_token(numbers[st.session_state[_CLICKED]["row"]])
