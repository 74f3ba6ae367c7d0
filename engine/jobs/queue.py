"""Starts, stops and looks after jobs; light enough for the dashboard to import."""

import logging
import os
import socket
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data.catalog_jobs import Process
from data.durable import refused
from data.errors import LabError
from data.queueing import Waiting
from data.recovery import JobLock, recover
from data.rows import JobKind, JobRow, JobStatus, RunStatus
from data.settings import FILE, settings
from data.store import Store
from engine.jobs import launching
from engine.jobs.capacity import capacity, environment
from engine.jobs.limits import require_storage
from engine.jobs.processes import alive, me
from engine.jobs.request import Request, require_space
from engine.studies import study as defined

log = logging.getLogger(__name__)

# A training tells how far it is after every stretch, of seconds as a rule.
_SILENCE = timedelta(minutes=10)
# On a cluster the silence need only be long enough for the news that a process is gone.
_VANISHED = timedelta(minutes=1)
# Held while this process keeps jobs for itself to start them.
_STARTING = threading.Lock()


def submit(store: Store, kind: JobKind, study: str, spec: dict[str, Any]) -> int:
    """Queue a job; where it may begin, start a process of its own for it, which outlives this one.

    Args:
        store: where the job is written down and works.
        kind: one of ``engine.jobs.kinds.KINDS``.
        study: name of the study it works on.
        spec: what to do, as the file of ``engine.jobs`` that runs the kind says.

    Returns:
        The job's number.

    Raises:
        LabError: whoever asks may not, or has as much as they may.
    """
    require_storage(store)
    if kind == "train" and not spec.get("arms") and "study" in spec:
        spec = {**spec, "arms": [arm.name for arm in defined(spec["study"]).arms]}
    job = store.catalog.create_job(kind, study, spec)
    pump(store)
    return job.id


def submit_training(store: Store, wanted: Request) -> int:
    """Write a study down and queue its training; return the job's number.

    Raises:
        LabError: the disk has no room for it, whoever asks may not, or has as much as they may.
    """
    require_space(wanted, store.root)
    study = wanted.study
    store.catalog.save_study(study.name, study.title, study.claim, study.config(), "engine")
    return submit(store, "train", study.name, wanted.spec)


def resume(store: Store, id: int) -> None:
    """Queue a stopped or failed training again; it goes on where it stood.

    Raises:
        LabError: there is no such job, or none that could go on, or whoever asks may not; nothing is changed
            then.
    """
    reap(store)
    requeue(store, id)
    pump(store)


def pump(store: Store, at_once: int | None = None, **more: str) -> list[tuple[int, Process | None]]:
    """Start a process for every queued job that may begin on this machine now.

    Args:
        store: where the queue is.
        at_once: set by a `worker`, which starts jobs where nobody else does: how many may run here at once.
        more: variables for the processes.

    Returns:
        The jobs that were started, each with its process where it is one of this machine.

    Raises:
        LabError: the disk is full or refuses; the job waits as before.
    """
    if settings().jobs.runner == "worker" and at_once is None:
        return []
    catalog = store.machine.catalog
    started: list[tuple[int, Process | None]] = []
    with _STARTING:
        while (job := catalog.take_next(me(), capacity(at_once))) is not None:
            variables = {**_configuration(), **environment(job.gpu), **more}
            try:
                process = launching.launch(store, job.id, variables)
            except OSError as error:
                catalog.release_job(job.id, os.getpid())
                if started:
                    break
                raise refused(error, "A job's log", store.logs / f"{job.id}.log") from error
            if process is not None:
                catalog.note_process(job.id, process)
            started.append((job.id, process))
    return started


def _configuration() -> dict[str, str]:
    """Return where the configuration is: a job's process stands in another folder."""
    path = Path(os.environ.get("DETOUR_CONFIG") or FILE).absolute()
    return {"DETOUR_CONFIG": str(path)} if path.exists() else {}


def tend(store: Store) -> list[int]:
    """Mark jobs whose process is gone, then start what may begin; return the jobs that were marked."""
    marked = reap(store)
    pump(store)
    return marked


def line(store: Store) -> list[Waiting]:
    """Return the jobs that nobody has taken, in the order in which they go, and what each waits for."""
    return store.catalog.waiting(socket.gethostname(), capacity())


def requeue(store: Store, id: int, process: Process | None = None, gpu: int | None = None) -> JobRow:
    """Queue a stopped or failed training again, or let `process` have it at once; its log keeps how it ended.

    Raises:
        LabError: there is no such job, or none that could go on, or whoever asks may not; nothing is changed
            then.
    """
    before = require_ended(store, id)
    require_storage(store)
    while not store.catalog.requeue_job(id, process, gpu):
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

    A queued job that was kept for a process waits again when that is gone. A training of another machine, or
    of this one under a former name, counts as gone when it has long been silent and nobody holds its traces;
    of other jobs elsewhere nothing here can tell whether their processes live.

    Returns:
        The jobs that were marked.
    """
    store = store.machine
    launching.clear_away()
    here = socket.gethostname()
    jobs = {job.id: job for job in store.catalog.jobs()}
    active = [job for job in jobs.values() if job.status in ("queued", "running")]
    gone = [job for job in active if _gone(store, job, here)]
    marked = []
    for job in gone:
        if job.status == "queued" and store.catalog.release_job(job.id, job.pid):
            continue
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


def _gone(store: Store, job: JobRow, here: str) -> bool:
    """Whether the process is gone that has a job, or for which it was kept."""
    if job.status == "queued" and job.host is not None and settings().jobs.runner == "ray":
        return launching.vanished(store, job)
    if job.host != here:
        return _silent(store, job)
    if job.status == "queued" and job.started_at is None and job.pid == os.getpid():
        return not _STARTING.locked()  # it could not be started, nor given back
    return not alive(job.pid, job.process_started)


def _silent(store: Store, job: JobRow) -> bool:
    """Whether a training elsewhere has said nothing for long and does not hold its traces either."""
    silence = timedelta() if job.heartbeat_at is None else datetime.now(UTC) - job.heartbeat_at
    if silence < _SILENCE and (silence < _VANISHED or not launching.vanished(store, job)):
        return False
    if job.status == "queued" or job.kind != "train":
        return job.status == "queued"  # kept for a process that never came
    try:
        JobLock(store.journals / str(job.id)).release()
    except LabError:
        return False
    return True
