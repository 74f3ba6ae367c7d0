"""Starts, stops and looks after jobs; light enough for the dashboard to import."""

import logging
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from data.catalog_jobs import Process
from data.errors import LabError
from data.recovery import JobLock, recover
from data.rows import JobKind, JobRow, JobStatus, RunStatus
from data.store import Store

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]

# A process id is used again by the system, so a process is known by its id and its start, which the kernel
# rounds and the clock's corrections shift a little.
_START_TOLERANCE_S = 2.0

# A training tells how far it is after every stretch, of seconds as a rule.
_SILENCE = timedelta(minutes=10)

# Handles of the workers that this process started: polling them is what clears them away once they end.
_started: dict[int, subprocess.Popen[bytes]] = {}


def submit(store: Store, kind: JobKind, study: str, spec: dict[str, Any]) -> int:
    """Queue a job and start a process of its own for it, which outlives this one.

    Args:
        store: where the job is written down and works.
        kind: one of ``engine.jobs.kinds.KINDS``.
        study: name of the study it works on.
        spec: what to do, as the file of ``engine.jobs`` that runs the kind says.

    Returns:
        The job's number.
    """
    job = store.catalog.create_job(kind, study, spec)
    _start(store, job.id)
    return job.id


def resume(store: Store, id: int) -> None:
    """Queue a stopped or failed training again and start a process for it, which goes on where it stood.

    Raises:
        LabError: there is no such job, or none that could go on; nothing is changed then.
    """
    reap(store)
    requeue(store, id)
    _start(store, id)


def requeue(store: Store, id: int, process: Process | None = None) -> JobRow:
    """Queue a stopped or failed training again, or let `process` have it at once; its log keeps how it ended.

    Raises:
        LabError: there is no such job, or none that could go on; nothing is changed then.
    """
    before = require_ended(store, id)
    while not store.catalog.requeue_job(id, process):
        before = require_ended(store, id)  # says what became of it since
    ended = f"was {before.status} at {before.step:,} of {before.steps:,} steps"
    if before.error is not None:
        ended += f" ({before.error['title']}. {before.error['message']})"
    _say(store, id, f"job {id} {ended} and goes on")
    return store.catalog.job(id)


def require_ended(store: Store, id: int) -> JobRow:
    """Return a training that was stopped or failed.

    Raises:
        LabError: there is no such job, it is no training, or it is not in such a state.
    """
    job = store.catalog.job(id)
    told = f"Job {id} ({job.kind} {job.study}) is {job.status}."
    if job.kind != "train":
        raise LabError("Only a training can go on", told, "Start it anew.")
    if job.status == "done":
        raise LabError("The job is done", told, "There is nothing left to train.")
    if job.status not in ("stopped", "failed"):
        raise LabError("The job has not ended", told, "Wait for it, or cancel it first.")
    return job


def _start(store: Store, id: int) -> None:
    """Start a process that takes a queued job and outlives this one."""
    store.logs.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "engine", "worker", "--job", str(id)]
    with (store.logs / f"{id}.log").open("ab") as log:
        process = _started[id] = subprocess.Popen(
            [*command, "--store", str(store.root.absolute())],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        began = psutil.Process(process.pid).create_time()
    except psutil.NoSuchProcess:  # it ended, and another thread has cleared it away
        began = 0.0
    store.machine.catalog.note_process(id, Process(process.pid, began, socket.gethostname()))


def _say(store: Store, id: int, text: str) -> None:
    store.logs.mkdir(exist_ok=True)
    with (store.logs / f"{id}.log").open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {text}\n")


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
    """Mark jobs of this machine whose process is gone as stopped, and seal the rows they left.

    A queued job has a process when one was started to take it. A training of another machine, or of this
    one under a former name, counts as gone when it has long been silent and nobody holds its traces; of other
    jobs elsewhere nothing here can tell whether their processes live.

    Returns:
        The jobs that were marked.
    """
    store = store.machine
    for id, process in list(_started.items()):
        if process.poll() is not None:
            del _started[id]
    here = socket.gethostname()
    jobs = {job.id: job for job in store.catalog.jobs()}
    gone = [
        job
        for job in jobs.values()
        if job.status in ("queued", "running")
        and (not _alive(job.pid, job.process_started) if job.host == here else _silent(store, job))
    ]
    marked = []
    for job in gone:
        rest = f"Have the rest with `python -m engine resume {job.id}`." if job.kind == "train" else ""
        error = LabError(
            "The job's process is gone",
            f"Job {job.id} ended without a word: it was killed, or the machine went down.",
            f"Every row that it had written is kept. {rest or 'Start it again.'}",
        )
        if end(store, job, "stopped", error):
            marked.append(job.id)
            if job.kind == "import_logs":  # it has no journal, but may leave a file that never came to count
                seal(store, job.id)
    for folder in store.journals.iterdir():
        left = jobs.get(int(folder.name)) if folder.name.isdecimal() else None
        if left is not None and (left.id in marked or left.status not in ("queued", "running")):
            seal(store, left.id)
    return marked


def end(store: Store, job: JobRow, status: JobStatus, error: LabError | None) -> bool:
    """Write down that a job did not come to its own end, and that its unfinished runs did not either.

    Returns:
        False, and nothing is changed, when it has ended or gone on in another process since `job` was read.
    """
    what = None if error is None else {"title": error.title, "message": error.message, "remedy": error.remedy}
    runs: RunStatus = "failed" if status == "failed" else "stopped"
    return store.machine.catalog.finish_job(job.id, status, error=what, runs=runs, pid=job.pid)


def seal(store: Store, id: int) -> None:
    """Seal what an ended job left; where that cannot be done now, the journal stays readable for later."""
    try:
        recover(store, id)
    except LabError as error:  # another process is at it, or the disk is full: nothing is lost by waiting
        log.warning("The rows of job %d are not sealed yet: %s", id, error)


def _silent(store: Store, job: JobRow) -> bool:
    """Whether a training elsewhere has said nothing for long and does not hold its traces either."""
    if job.kind != "train" or job.heartbeat_at is None or datetime.now(UTC) - job.heartbeat_at < _SILENCE:
        return False
    try:
        JobLock(store.journals / str(job.id)).release()
    except LabError:
        return False
    return True


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
