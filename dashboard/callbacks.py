"""Hands what went wrong outside the page's script, in a button's action or a refresh, to its boundary."""

from collections.abc import Callable

import streamlit as st

from data.errors import LabError

FAILED = "callbacks.failed"


def act(action: Callable[..., None], *args: object) -> None:
    """Do what a button asks; Streamlit runs this before the page, where no boundary would catch it."""
    try:
        action(*args)
    except LabError as error:
        fail(error)


def fail(error: Exception) -> None:
    """Keep an error for the page's next run, which raises it."""
    st.session_state[FAILED] = error


def raise_failure() -> None:
    """Raise, once, what the last button or refresh ran into."""
    if (error := st.session_state.pop(FAILED, None)) is not None:
        raise error
