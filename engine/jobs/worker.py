"""Takes a job, runs it, and writes down how it goes and how it ended."""

import errno
import importlib
import logging
import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from data.catalog_jobs import WHO_RAISES, Process
from data.durable import refused
from data.errors import LabError
from data.rows import JobRow
from data.store import Store
from engine.jobs.capacity import kept_gpu
from engine.jobs.kinds import KINDS
from engine.jobs.processes import alive
from engine.jobs.processes import me as me
from engine.jobs.progress import Ending, Progress, duration
from engine.jobs.queue import end, pump, reap, seal
from engine.jobs.verdicts import judged

_HEARTBEAT_S = 1.0
_POLL_S = 1.0
_REAP_S = 5.0
# What a disk says that is full, broken or only reads.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
# Throughput is taken over this many heartbeats, so that it follows a change of speed but not every hiccup.
_WINDOW = 20

log = logging.getLogger(__name__)

Show = Callable[[int, int, str], None]
"""Shows progress to a person: steps done, steps in all, and a line of text."""


class Stop:
    """Whether this process was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    @property
    def going_down(self) -> bool:
        """Whether the machine or its service manager wants the process gone, and nobody the job stopped."""
        return self.signal == signal.SIGTERM


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop; a SIGINT after it interrupts at once.

    A service manager sends SIGTERM to every process of a service, and a worker sends it to its jobs: more
    than one means no more than one.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.signal = stop.signal or number

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Heartbeat(Progress):
    """Writes a job's progress down about once a second, with throughput and time left.

    Args:
        store: where the job is written down.
        id: the job.
        unit: what its steps are.
        stop: whether this process was asked to stop.
        show: also told, at every heartbeat.
        hours: after which the job is stopped; 0 for never.
    """

    def __init__(
        self, store: Store, id: int, unit: str, stop: Stop, show: Show | None = None, hours: float = 0.0
    ) -> None:
        self._store, self._id, self._unit, self._stop, self._show = store, id, unit, stop, show
        self._until = time.monotonic() + hours * 3600 if hours else None
        self._beats: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._asked = False

    def __call__(self, step: int, steps: int, message: str = "") -> bool:
        """Take note; write it down when the last time is long enough ago, or when the job is through."""
        now = time.monotonic()
        last = self._beats[-1][0] if self._beats else -_HEARTBEAT_S
        if now - last >= _HEARTBEAT_S or step >= steps:
            self._beats.append((now, step))
            rate = self._rate()
            text = _describe(step, steps, self._unit, rate, message)
            self._asked = self._store.catalog.heartbeat(self._id, step, steps, rate, text)
            if self._show is not None:
                self._show(step, steps, text)
        return self._asked or bool(self._stop) or self.time_is_up

    @property
    def time_is_up(self) -> bool:
        """Whether the job has worked for as long as it may."""
        return self._until is not None and time.monotonic() >= self._until

    def _rate(self) -> float | None:
        """Return steps per second over the latest heartbeats, None before there are two."""
        (start, first), (end, last) = self._beats[0], self._beats[-1]
        return (last - first) / (end - start) if end > start and last > first else None


def _describe(step: int, steps: int, unit: str, rate: float | None, message: str) -> str:
    parts = [message] if message else []
    parts.append(f"{step:,} of {steps:,} {unit}")
    if rate is not None:
        parts.append(f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.2g} {unit}/s")
        parts.append(f"{duration((steps - step) / rate)} left")
    return " · ".join(parts)


def work(store: Store, id: int, stop: Stop, show: Show | None = None) -> JobRow:
    """Take a queued job and run it to its end in this process.

    Args:
        store: the store it is in.
        id: its number.
        stop: whether this process was asked to stop.
        show: told how far it is, about once a second.

    Returns:
        The job as it ended.

    Raises:
        LabError: there is no such job, it is not queued any more, or it failed in a way that the user can
            mend. A failed job is written down as failed first, whatever it raised.
    """
    if not store.catalog.claim_job(id, *me(), kept_gpu()):
        job = store.catalog.job(id)
        raise LabError(
            "The job is taken",
            f"Job {id} ({job.kind} {job.study}) is {job.status}.",
            "See `python -m engine jobs`.",
        )
    return carry_out(store, store.catalog.job(id), stop, show, put_back=True)


def carry_out(
    store: Store, job: JobRow, stop: Stop, show: Show | None = None, put_back: bool = False
) -> JobRow:
    """Run a job that this process has taken to its end, as `work` does; then start those that may begin.

    Args:
        store: the store it is in.
        job: the job.
        stop: whether this process was asked to stop.
        show: told how far it is, about once a second.
        put_back: whether a SIGTERM, as of a restart, queues the job again instead of stopping it.
    """
    try:
        return _carry_out(store, job, stop, show, put_back)
    finally:
        if not stop.going_down:
            pump(store)


def _carry_out(store: Store, job: JobRow, stop: Stop, show: Show | None, put_back: bool) -> JobRow:
    hours = store.catalog.limits_for(job.person).hours
    beat = Heartbeat(store, job.id, f"{KINDS[job.kind].unit}s", stop, show, hours)
    try:
        ending = _run(store, job, beat)
    except BaseException as error:
        told = None if isinstance(error, KeyboardInterrupt) else _told(store, job, error)
        if told is not None or not _put_back(store, job, stop, put_back):
            end(store, job, "stopped" if told is None else "failed", told)
        seal(store, job.id)
        if told is not None and isinstance(error, OSError) and error.errno in _DISK:
            raise told from error
        raise
    if ending.status == "stopped" and _put_back(store, job, stop, put_back):
        return store.catalog.job(job.id)
    late = _late(job, hours) if ending.status == "stopped" and beat.time_is_up else None
    store.catalog.finish_job(job.id, ending.status, error=late, result=ending.result)
    if job.kind == "train":
        _judge(store, job)
    return store.catalog.job(job.id)


def _put_back(store: Store, job: JobRow, stop: Stop, wanted: bool) -> bool:
    """Queue a job again that was interrupted because its process is to go; False where it is to end."""
    if not (wanted and stop.going_down and store.machine.catalog.put_back(job.id, job.pid)):
        return False
    log.info("job %d goes back to the queue at %s", job.id, signal.Signals(stop.signal or 0).name)
    return True


def _late(job: JobRow, hours: float) -> dict[str, str]:
    """Say why a job was stopped that nobody stopped."""
    if job.kind == "train":
        how = "Resume it: it goes on where it stood."
    else:
        how = "Start it again with less to do; nothing is kept of it."
    return {
        "title": "The time is up",
        "message": f"Job {job.id} worked for {hours:g} hours, as long as a job of {job.person} may.",
        "remedy": f"{how} {WHO_RAISES}",
    }


def _judge(store: Store, job: JobRow) -> None:
    """Have the study's verdict ready before somebody asks for it."""
    try:
        judged(store, job.study)
    except LabError as error:
        log.warning("Job %d is done; its study cannot be judged: %s", job.id, error)


def _run(store: Store, job: JobRow, progress: Progress) -> Ending:
    # By name, so that a fit never loads torch and a new kind of job is a new file.
    ending: Ending = importlib.import_module(f"engine.jobs.{job.kind}").run(store, job.id, progress)
    return ending


def _told(store: Store, job: JobRow, error: BaseException) -> LabError:
    """Put into words why a job failed."""
    if isinstance(error, LabError):
        return error
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return LabError(
            "The disk is full",
            f"Job {job.id} could not write to `{store.root}`; every row acknowledged before is kept.",
            "Free some space and start it again.",
        )
    if isinstance(error, OSError) and error.errno in _DISK:
        return refused(error, f"A file of job {job.id}", Path(error.filename or store.root))
    return LabError(
        "The job failed unexpectedly",
        f"Job {job.id} ({job.kind} {job.study}): {type(error).__name__}: {error}",
        f"This is a defect; the terminal or {store.logs / f'{job.id}.log'} has the details for a report.",
    )


def poll(store: Store, stop: Stop, at_once: int) -> int:
    """Start queued jobs until asked to stop; those at work then go back to the queue, where they stood.

    Args:
        store: where the queue is.
        stop: whether this process was asked to stop.
        at_once: how many jobs may run at once on this machine; 0 for as many as configured.

    Returns:
        How many jobs were started.
    """
    at_work: dict[int, Process | None] = {}
    count, reaped = 0, -math.inf
    while not stop:
        try:
            if time.monotonic() - reaped >= _REAP_S:
                reap(store)
                reaped = time.monotonic()
            # Its children leave the queue to this process, which must know whom to end.
            for id, process in pump(store, at_once, DETOUR_JOBS_RUNNER="worker"):
                at_work[id] = process
                count += 1
                job = store.catalog.job(id)
                log.info("job %d (%s %s) begins", id, job.kind, job.study)
            _tell_ended(store, at_work)
        except LabError as error:  # a full disk or a database that is away: its jobs need it all the same
            log.warning("%s", error)
        time.sleep(_POLL_S)
    for process in at_work.values():
        if process is not None and alive(process.pid, process.started):
            os.kill(process.pid, signal.SIGTERM)
    while any(process is not None and alive(*process[:2]) for process in at_work.values()):
        time.sleep(_POLL_S / 10)
    _tell_ended(store, at_work)
    reap(store)
    return count


def _tell_ended(store: Store, at_work: dict[int, Process | None]) -> None:
    for id in list(at_work):
        job = store.catalog.job(id)
        process = at_work[id]
        ended = job.status not in ("queued", "running")
        if ended if process is None else not alive(process.pid, process.started):
            log.info("job %d (%s %s) is %s", id, job.kind, job.study, job.status)
            del at_work[id]
