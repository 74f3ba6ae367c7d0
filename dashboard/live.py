"""Refreshes a part of a page while a job writes, and only then."""

from collections.abc import Callable

import streamlit as st

from dashboard import queries
from dashboard.lab import Lab

EVERY_SECONDS = 2.5


def live(lab: Lab, study: str | None, draw: Callable[[], None]) -> None:
    """Draw a part of the page; while a job of the study (of any) is active, again every few seconds.

    Controls stay outside, so a refresh never moves a selection; keyed charts only swap their rows.
    """
    active = {job.id for job in queries.active_jobs(lab.store, study)}

    def body() -> None:
        if active and active != {job.id for job in queries.active_jobs(lab.store, study)}:
            st.rerun()  # a job ended or began: the whole page may read differently now
        draw()

    st.fragment(body, run_every=EVERY_SECONDS if active else None)()
