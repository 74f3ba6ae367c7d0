"""Starts, stops and looks after jobs; light enough for the dashboard to import."""

import logging
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from data.errors import LabError
from data.recovery import recover
from data.rows import JobKind, JobRow, JobStatus
from data.store import Store

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]

# A process id is used again by the system, so a process is known by its id and its start, which the kernel
# rounds and the clock's corrections shift a little.
_START_TOLERANCE_S = 2.0

# Handles of the workers that this process started: polling them is what clears them away once they end.
_started: dict[int, subprocess.Popen[bytes]] = {}


def submit(store: Store, kind: JobKind, study: str, spec: dict[str, Any]) -> int:
    """Queue a job and start a process of its own for it, which outlives this one.

    Args:
        store: where the job is written down and works.
        kind: ``"train"`` or ``"fit"``.
        study: name of the study it works on.
        spec: what to do, as ``engine.jobs.train`` or ``engine.jobs.fit`` says.

    Returns:
        The job's number.
    """
    job = store.catalog.create_job(kind, study, spec)
    store.logs.mkdir(exist_ok=True)
    with (store.logs / f"{job.id}.log").open("ab") as log:
        _started[job.id] = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "engine",
                "worker",
                "--job",
                str(job.id),
                "--store",
                str(store.root.absolute()),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return job.id


def stop(store: Store, id: int) -> None:
    """Ask a job to stop: a queued one ends at once, a running one within seconds, with its rows kept.

    Raises:
        LabError: there is no such job, or it has ended already.
    """
    job = store.catalog.job(id)
    if job.status not in ("queued", "running"):
        raise LabError(
            "The job has ended already",
            f"Job {id} ({job.kind} {job.study}) is {job.status}.",
            "Only queued and running jobs can be cancelled.",
        )
    store.catalog.request_stop(id)


def reap(store: Store) -> list[int]:
    """Mark running jobs of this machine whose process is gone as stopped, and seal the rows they left.

    Jobs of other machines are left alone: nothing here can tell whether their processes live.

    Returns:
        The jobs that were marked.
    """
    for id, process in list(_started.items()):
        if process.poll() is not None:
            del _started[id]
    here = socket.gethostname()
    jobs = {job.id: job for job in store.catalog.jobs()}
    gone = [
        job
        for job in jobs.values()
        if job.status == "running" and job.host == here and not _alive(job.pid, job.process_started)
    ]
    for job in gone:
        error = LabError(
            "The job's process is gone",
            f"Job {job.id} ended without a word: it was killed, or the machine went down.",
            "Every row that it had written is kept. Start it again to have the rest.",
        )
        end(store, job, "stopped", error)
    marked = [job.id for job in gone]
    for folder in store.journals.iterdir():
        left = jobs.get(int(folder.name)) if folder.name.isdecimal() else None
        if left is not None and (left.id in marked or left.status not in ("queued", "running")):
            seal(store, left.id)
    return marked


def end(store: Store, job: JobRow, status: JobStatus, error: LabError | None) -> None:
    """Write down that a job did not come to its own end, and that its unfinished runs did not either."""
    ended = "failed" if status == "failed" else "stopped"
    now = datetime.now(UTC)
    store.catalog.update_runs(
        {"id": run.id, "status": ended, "finished_at": now}
        for run in store.catalog.runs(current=False, archived=True)
        if run.job == job.id and run.status in ("queued", "running")
    )
    what = None if error is None else {"title": error.title, "message": error.message, "remedy": error.remedy}
    store.catalog.finish_job(job.id, status, error=what)


def seal(store: Store, id: int) -> None:
    """Seal what an ended job left; where that cannot be done now, the journal stays readable for later."""
    try:
        recover(store, id)
    except LabError as error:  # another process is at it, or the disk is full: nothing is lost by waiting
        log.warning("The rows of job %d are not sealed yet: %s", id, error)


def _alive(pid: int | None, started: float | None) -> bool:
    """Whether the process of that id and start (seconds since the epoch) still runs."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        same = abs(float(process.create_time()) - started) < _START_TOLERANCE_S
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's process, so one that lives
        return True
