"""Starts the demo study, shows a job at work with progress and stop, and one that was stopped with resume."""

from datetime import UTC, datetime
from typing import Literal

import streamlit as st

from dashboard import queries
from dashboard.access import Access
from dashboard.callbacks import act
from dashboard.lab import Lab, create_lab
from dashboard.links import link
from dashboard.wording import count, duration, escaped, failure, message
from data.people import ROLES
from data.rows import AnalysisRow, JobKind, JobRow
from data.settings import settings
from data.store import Store
from engine.jobs import queue
from engine.jobs.kinds import KINDS
from engine.jobs.request import request

DEMO = "digits-shuffling"
COMMAND = f"python -m engine train {DEMO}"


def train_button(access: Access, key: str, lab: Lab | None = None) -> None:
    """Show the button that trains the demo study; it makes the store first where there is none."""
    wanted = request(DEMO)
    label = "Train the demo study"
    disabled = not access.may_change
    if st.button(label, icon=":material/play_arrow:", type="primary", key=key, disabled=disabled):
        store = (lab or create_lab()).store
        queue.submit_training(store, wanted)
        st.rerun()


def locked(lab: Lab) -> str:
    """Return why whoever looks may start nothing; "" where they may."""
    if lab.access.may_change:
        return ""
    return f"Your role is {lab.access.role}, which {ROLES[lab.access.role]}. An administrator can change it."


def not_theirs(lab: Lab, job: JobRow) -> str:
    """Return why whoever looks may neither stop nor resume a job; "" where they may."""
    if (why := locked(lab)) or job.person == lab.access.name or lab.access.person.may("admin"):
        return why
    return f"Job {job.id} belongs to {job.person or 'somebody unknown'}: they or an administrator may do it."


def whose(lab: Lab, job: JobRow) -> str:
    """Say of a job which it is, and whose it is where that is somebody else's, and which GPU it has."""
    parts = [f"job {job.id}"]
    if job.person != lab.access.name:
        parts.append(escaped(job.person))
    if job.gpu is not None:
        parts.append(f"GPU {job.gpu}")
    return " · ".join(parts)


def seconds_left(job: JobRow) -> float | None:
    """Return the time a running job still needs at its present rate."""
    if not job.rate or not job.steps:
        return None
    return max(job.steps - job.step, 0) / job.rate


def job_card(lab: Lab, job: JobRow) -> None:
    """Show one active job: what it does, how far it is, how fast, how long yet, and a stop button."""
    with st.container(border=True, key=f"job.{job.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                f"**{KINDS[job.kind].doing} {escaped(job.study)}** :gray[· {whose(lab, job)}]",
                width="stretch",
            )
            if job.kind == "train":
                link("train", "Log", ":material/article:", job=str(job.id))
            stop_button(lab, job)
        progress(lab, job)


def stop_button(lab: Lab, job: JobRow) -> None:
    """Show the button that stops a job, or takes it out of the queue."""
    waits = job.status == "queued"
    if waits:
        told = "It leaves the queue; it can be queued again."
    elif job.kind == "train":
        told = "The job ends within seconds and can be resumed; every row it has written is kept."
    else:
        told = "The job ends within seconds; nothing is kept of what it has not finished."
    why = not_theirs(lab, job)
    st.button(
        "Stopping" if job.stop_requested else "Cancel" if waits else "Stop",
        icon=":material/stop_circle:",
        key=f"job.{job.id}.stop",
        disabled=job.stop_requested or bool(why),
        help=why or told,
        on_click=act,
        args=(_stop, lab.store, job.id),
    )


def progress(lab: Lab, job: JobRow) -> None:
    """Show how far an active job is, or where in the queue."""
    share = min(job.step / job.steps, 1.0) if job.steps else 0.0
    st.progress(share, text=_progress_text(lab, job))


def resumable(store: Store) -> list[JobRow]:
    """Return the trainings that were stopped or failed and whose runs nothing has replaced since.

    One that failed before it had any runs counts until its study is trained again.
    """
    waiting = {run.job for run in store.catalog.run_states() if run.status in ("stopped", "failed", "queued")}
    trainings = [job for job in store.catalog.jobs() if job.kind == "train"]
    last = {job.study: job.id for job in sorted(trainings, key=lambda job: job.id)}
    waiting |= {job.id for job in trainings if job.status == "failed" and last[job.study] == job.id}
    return [job for job in trainings if job.status in ("stopped", "failed") and job.id in waiting]


def resume_card(lab: Lab, job: JobRow) -> None:
    """Show a training that did not come to its end: how far it is, why it ended, and a resume button."""
    with st.container(border=True, key=f"job.{job.id}"):
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.markdown(
                f"**Training {escaped(job.study)}** :gray[· job {job.id} · {job.status} at {job.step:,} of "
                f"{count(job.steps, 'step')}]",
                width="stretch",
            )
            link("train", "Log", ":material/article:", job=str(job.id))
            resume_button(lab, job)
        if job.error is not None:
            st.caption(message(f"{job.error['title']}. {job.error['message']}"))


def resume_button(lab: Lab, job: JobRow, type: Literal["primary", "secondary"] = "secondary") -> None:
    """Show the button that queues a training again which was stopped or failed."""
    why = not_theirs(lab, job)
    st.button(
        "Resume" if job.status == "stopped" else "Try again",
        icon=":material/resume:",
        type=type,
        key=f"job.{job.id}.resume",
        disabled=bool(why),
        help=why
        or "It is queued and goes on where it stood; its runs end as if it had never been interrupted.",
        on_click=act,
        args=(queue.resume, lab.store, job.id),
    )


def _progress_text(lab: Lab, job: JobRow) -> str:
    if job.status == "queued":
        return _place(lab, job)
    unit = KINDS[job.kind].unit
    parts = [f"{job.step:,} of {count(job.steps, unit)}"]
    if job.rate:
        parts.append(
            f"{job.rate:,.0f} {unit}s a second" if job.rate >= 10 else f"{job.rate:,.2g} {unit}s a second"
        )
        parts.append(f"{duration(seconds_left(job))} left")
    if job.started_at:
        parts.append(f"running for {duration((datetime.now(UTC) - job.started_at).total_seconds())}")
    return " · ".join(parts)


def _place(lab: Lab, job: JobRow) -> str:
    """Say where in the queue a job is, and what it waits for."""
    for number, one in enumerate(queue.line(lab.store), 1):
        if one.job.id == job.id:
            why = one.why or ("a worker takes it" if settings().jobs.runner == "worker" else "it begins now")
            return message(f"Number {number} in the queue: {why}")
    return "Its process is starting"


def _stop(store: Store, job: int) -> None:
    # The job may have ended between the drawing of the button and the click: then there is nothing to stop.
    if store.catalog.job(job).status in ("queued", "running"):
        queue.stop(store, job)


def at_work(lab: Lab, study: str, kind: JobKind) -> list[JobRow]:
    """Return the jobs of a kind that wait or work for a study."""
    return [job for job in queries.active_jobs(lab.store, study) if job.kind == kind]


def last_failure(lab: Lab, study: str, kind: JobKind) -> None:
    """Say why the newest job of a kind failed, unless a later one went through."""
    jobs = [job for job in lab.store.catalog.jobs(study) if job.kind == kind]
    newest = max(jobs, key=lambda job: job.id, default=None)
    if newest is not None and newest.status == "failed" and newest.error:
        st.error(failure(newest.error))


def awaited(lab: Lab, key: str) -> AnalysisRow | None:
    """Return, once, the result of the job whose number the session holds under a key, when it is there."""
    if (number := st.session_state.get(key)) is None:
        return None
    job = lab.store.catalog.job(number)
    if job.status in queries.ACTIVE:
        return None
    del st.session_state[key]
    if job.status != "done" or job.result is None:
        return None
    return lab.store.catalog.analysis(int(job.result["analysis"]))
