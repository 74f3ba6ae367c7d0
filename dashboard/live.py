"""Refreshes a part of a page while a job writes, and only then."""

from collections.abc import Callable

import streamlit as st

from dashboard import queries
from dashboard.callbacks import fail
from dashboard.lab import Lab

EVERY_SECONDS = 2.5


def live(lab: Lab, study: str | None, draw: Callable[[], None]) -> None:
    """Draw a part of the page; while a job of the study (of any) is active, again every few seconds.

    Controls stay outside, so a refresh never moves a selection; keyed charts only swap their rows.
    """
    active = {job.id for job in queries.active_jobs(lab.store, study)}

    if not active:
        draw()
        return

    def body() -> None:
        if active != {job.id for job in queries.active_jobs(lab.store, study)}:
            st.rerun()  # a job ended or began: the whole page may read differently now
        try:
            draw()
        except Exception as error:  # noqa: BLE001 - a fragment is outside the page's error boundary: hand it there
            fail(error)
            st.rerun()

    st.fragment(body, run_every=EVERY_SECONDS)()
