"""Starts the demo study, shows a job at work with progress and stop, and one that was stopped with resume."""

from datetime import UTC, datetime

import streamlit as st

from dashboard import queries
from dashboard.access import Access
from dashboard.callbacks import act
from dashboard.lab import Lab, create_lab
from dashboard.wording import count, duration, escaped, failure, message
from data.rows import AnalysisRow, JobKind, JobRow
from data.store import Store
from engine.jobs import queue
from engine.jobs.kinds import KINDS
from engine.jobs.request import Request, request, require_space

DEMO = "digits-shuffling"
COMMAND = f"python -m engine train {DEMO}"


def train_button(access: Access, key: str, lab: Lab | None = None) -> None:
    """Show the button that trains the demo study; it makes the store first where there is none."""
    wanted = request(DEMO)
    label = "Train the demo study"
    disabled = not access.may_change
    if st.button(label, icon=":material/play_arrow:", type="primary", key=key, disabled=disabled):
        store = (lab or create_lab()).store
        start(store, wanted)
        st.rerun()


def start(store: Store, wanted: Request) -> int:
    """Write the study down and queue its training.

    Raises:
        LabError: the disk has no room for it.
    """
    require_space(wanted, store.root)
    study = wanted.study
    store.catalog.save_study(study.name, study.title, study.claim, study.config(), "engine")
    return queue.submit(store, "train", study.name, wanted.spec)


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
                f"**{KINDS[job.kind].doing} {escaped(job.study)}** :gray[· job {job.id}]", width="stretch"
            )
            st.button(
                "Stopping" if job.stop_requested else "Stop",
                icon=":material/stop_circle:",
                key=f"job.{job.id}.stop",
                disabled=job.stop_requested or not lab.access.may_change,
                help="The job ends within seconds and can be resumed; every row it has written is kept."
                if job.kind == "train"
                else "The job ends within seconds; nothing is kept of what it has not finished.",
                on_click=act,
                args=(_stop, lab.store, job.id),
            )
        share = min(job.step / job.steps, 1.0) if job.steps else 0.0
        st.progress(share, text=_progress_text(job))


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
            st.button(
                "Resume",
                icon=":material/resume:",
                key=f"job.{job.id}.resume",
                disabled=not lab.access.may_change,
                help="The job goes on where it stood; its runs end as if it had never been interrupted.",
                on_click=act,
                args=(queue.resume, lab.store, job.id),
            )
        if job.error is not None:
            st.caption(message(f"{job.error['title']}. {job.error['message']}"))


def _progress_text(job: JobRow) -> str:
    if job.status == "queued":
        return "Waiting for its process to start"
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
