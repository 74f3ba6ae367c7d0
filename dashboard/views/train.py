"""Trainings: begin one, see what works and what waits, look at one closely."""

import streamlit as st

from dashboard import train_form, train_job, train_queue
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.parts import part

TITLE = "Train"
ICON = ":material/model_training:"
QUESTION = "What is training, and what comes next?"
ORDER = 90


def render(lab: Lab) -> None:
    """Show the job that the address names; else the queue beside the form that adds to it."""
    named = st.query_params.get("job", "")
    if named.isdecimal():
        train_job.show(lab, int(named))
        return
    asking, line = st.columns([1, 1.15], gap="large")
    with asking:
        st.subheader("Begin a training", anchor=False)
        part(lambda: train_form.form(lab))
    with line:
        live(lab, None, lambda: train_queue.show(lab))
