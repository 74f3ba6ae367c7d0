"""People and their roles, tokens, storage, health, the audit and the configuration."""

from collections.abc import Callable

import streamlit as st

from dashboard import admin_audit, admin_health, admin_people, admin_storage, admin_tokens
from dashboard.lab import Lab

TITLE = "Admin"
ICON = ":material/admin_panel_settings:"
QUESTION = "Who may do what here, and is the lab well?"
ORDER = 100

YOURS: dict[str, Callable[[Lab], None]] = {"You": admin_tokens.show}
EVERYBODYS: dict[str, Callable[[Lab], None]] = {
    "People": admin_people.show,
    "Storage": admin_storage.show,
    "Health": admin_health.show,
    "Audit": admin_audit.show,
    "Settings": admin_health.configured,
}


def render(lab: Lab) -> None:
    """Show one's own tokens; to administrators also people, health, audit and settings."""
    parts = YOURS | (EVERYBODYS if lab.access.person.may("admin") else {})
    chosen = "You"
    if len(parts) > 1:
        picked = st.segmented_control(
            "Part", list(parts), default="You", required=True, key="part", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        chosen = picked or "You"
    parts[chosen](lab)
