"""Parts of a page that their own controls redraw, and nothing else."""

from collections.abc import Callable

import streamlit as st

from dashboard.callbacks import fail


def part(draw: Callable[[], None]) -> None:
    """Draw a part of the page; a control inside it runs this part again, not the page around it."""

    def body() -> None:
        try:
            draw()
        except Exception as error:  # noqa: BLE001 - a fragment is outside the page's error boundary: hand it there
            fail(error)
            st.rerun()

    st.fragment(body)()
