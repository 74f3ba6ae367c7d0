"""The settings of a study as a table in which they can be changed, kept in the address."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.wording import escaped, message
from data.errors import LabError
from engine.studies import Study

_KINDS = ("model", "dataset", "schedule")
_SET, _ARRIVED = "train.set", "train.arrived"


def ask(study: Study) -> dict[str, str]:
    """Ask which settings to change; those of the address are changed from the first."""
    if _ARRIVED not in st.session_state:
        pairs = [pair.partition("=") for pair in st.query_params.get_all(_SET)]
        st.session_state[_ARRIVED] = study.name, {key: value for key, equals, value in pairs if equals}
    of, given = st.session_state[_ARRIVED]
    base: dict[str, str] = given if of == study.name else {}
    with st.expander("Settings", icon=":material/tune:", key=f"train.settings.{study.name}"):
        changed = _edit(study.settings(), base, f"train.edit.{study.name}")
        kinds = {key: changed[key] for key in _KINDS if key in changed}
        if kinds:
            changed = _with_theirs(study, base, changed, kinds)
    if changed:
        told = ", ".join(f"`{key}={value}`" for key, value in changed.items())
        st.caption(f"Changed: {told}. The runs get a study of their own, named after the changes.")
    st.query_params.pop(_SET, None)
    if changed:
        st.query_params[_SET] = [f"{key}={value}" for key, value in changed.items()]
    return changed


def _with_theirs(
    study: Study, base: dict[str, str], changed: dict[str, str], kinds: dict[str, str]
) -> dict[str, str]:
    """Ask for the settings that come with another model, data set or schedule; the former's go."""
    kept = {
        key: value for key, value in changed.items() if key.partition(".")[0] not in kinds or key in kinds
    }
    try:
        other = study.override(kinds).settings()
    except LabError as error:
        st.warning(message(f"{error.message} {error.remedy}"))
        return kept
    theirs = {key: value for key, value in other.items() if "." in key and key.partition(".")[0] in kinds}
    if not theirs:
        return kept
    st.caption(f"Settings of {', '.join(escaped(value) for value in kinds.values())}:")
    named = ".".join(f"{key}-{value}" for key, value in kinds.items())
    return kept | _edit(theirs, base, f"train.edit.{study.name}.{named}")


def _edit(settings: dict[str, Any], base: dict[str, str], key: str) -> dict[str, str]:
    """Let settings be changed in a table; return what differs from its default."""
    defaults = {name: _text(value) for name, value in settings.items()}
    frame = pd.DataFrame(
        {
            "Setting": list(defaults),
            "Value": [base.get(name, default) for name, default in defaults.items()],
            "Default": list(defaults.values()),
        }
    )
    edited = st.data_editor(
        frame, hide_index=True, key=key, height=min(35 * (len(frame) + 1) + 2, 260), num_rows="fixed",
        disabled=["Setting", "Default"],
        column_config={
            "Setting": st.column_config.TextColumn(width="medium"),
            "Value": st.column_config.TextColumn(width="small", max_chars=200, help="Click to change."),
            "Default": st.column_config.TextColumn(width="small"),
        },
    )  # fmt: skip
    pairs = zip(edited["Setting"], edited["Value"], strict=True)
    given = {str(name): str(value or "").strip() for name, value in pairs}
    return {name: value for name, value in given.items() if value and value != defaults[name]}


def _text(value: object) -> str:
    """Return a setting as one writes it on the command line; "" for none."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
