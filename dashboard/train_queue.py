"""What is at work, what waits in which order, and what ended lately."""

import streamlit as st

from dashboard import queries
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.training import job_card, not_theirs, resumable, resume_button, stop_button, whose
from dashboard.wording import ago, count, duration, escaped, message
from data.rows import JobRow
from engine.jobs import queue
from engine.jobs.capacity import capacity
from engine.jobs.kinds import KINDS

STATUS = {"done": "green", "stopped": "gray", "failed": "red", "running": "blue", "queued": "gray"}
_LATELY = 6
RULE = (
    "Whoever has the fewest jobs at work goes first; of those, who was served longest ago; of one person's, "
    "the oldest job. A job that needs a GPU lets others pass until one is free."
)


def show(lab: Lab) -> None:
    """Show the jobs: at work, in the queue, ended."""
    jobs = lab.store.catalog.jobs()
    waiting = queue.line(lab.store)
    waits = {one.job.id for one in waiting}
    active = [job for job in queries.active_jobs(lab.store) if job.id not in waits and job.kind != "log"]
    st.subheader("At work", anchor=False)
    for job in active:
        job_card(lab, job)
    if not active:
        st.caption(
            "Nothing works at the moment." if jobs else "Nothing was trained here yet: begin on the left."
        )
    if waiting:
        st.subheader(f"Next: {count(len(waiting), 'job')} in the queue", anchor=False)
        for number, one in enumerate(waiting, 1):
            _waiting(lab, number, one.job, one.why)
    most, gpus = capacity()
    room = (
        f"This machine runs {count(most, 'job')} at once" if most else "The cluster runs what it has room for"
    )
    if gpus:
        room += f" and has {count(len(gpus), 'GPU')}, each for one job alone"
    st.caption(f"{room}. {RULE}")
    _ended(lab, [job for job in jobs if job.status not in queries.ACTIVE and job.kind != "log"])


def _waiting(lab: Lab, number: int, job: JobRow, why: str) -> None:
    with st.container(
        border=True, horizontal=True, horizontal_alignment="distribute", vertical_alignment="center",
        key=f"train.waits.{job.id}",
    ):  # fmt: skip
        told = f"**{number}.** {_named(job)} :gray[· {whose(lab, job)}]"
        if why:
            told += f"  \n:small[:gray[{message(f'Waits: {why}.')}]]"
        st.markdown(told, width="stretch")
        link("train", "Open", ":material/open_in_full:", job=str(job.id))
        stop_button(lab, job)


def _ended(lab: Lab, jobs: list[JobRow]) -> None:
    if not jobs:
        return
    st.subheader("Lately", anchor=False)
    open_ = {job.id for job in resumable(lab.store)}
    lately = sorted(jobs, key=lambda job: job.finished_at or job.created_at, reverse=True)[:_LATELY]
    for job in lately:
        with st.container(
            horizontal=True, horizontal_alignment="distribute", vertical_alignment="center",
            key=f"train.ended.{job.id}",
        ):  # fmt: skip
            told = (
                f":{STATUS[job.status]}-badge[{job.status}] {KINDS[job.kind].doing} **{escaped(job.study)}**"
            )
            when = [whose(lab, job), ago(job.finished_at or job.created_at), took(job)]
            st.markdown(f"{told}  \n:small[:gray[{' · '.join(filter(None, when))}]]", width="stretch")
            if job.kind == "train":
                link("train", "Open", ":material/open_in_full:", job=str(job.id))
            if job.id in open_ and not not_theirs(lab, job):
                resume_button(lab, job)


def _named(job: JobRow) -> str:
    return f"{KINDS[job.kind].doing} **{escaped(job.study)}**"


def took(job: JobRow) -> str:
    """Say how long an ended job worked, the last time."""
    if job.started_at is None or job.finished_at is None:
        return ""
    return f"worked {duration((job.finished_at - job.started_at).total_seconds())}"
