"""Takes a job, runs it, and writes down how it goes and how it ended."""

import errno
import importlib
import logging
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import psutil

from data.catalog_jobs import Process
from data.errors import LabError
from data.rows import JobRow
from data.store import Store
from engine.jobs.kinds import KINDS
from engine.jobs.progress import Ending, Progress, duration
from engine.jobs.queue import end, seal
from engine.jobs.verdicts import judged

_HEARTBEAT_S = 1.0
_POLL_S = 1.0
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


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a request to stop; the second interrupts at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.signal = number

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
    """

    def __init__(self, store: Store, id: int, unit: str, stop: Stop, show: Show | None = None) -> None:
        self._store, self._id, self._unit, self._stop, self._show = store, id, unit, stop, show
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
        return self._asked or bool(self._stop)

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
    if not store.catalog.claim_job(id, *me()):
        job = store.catalog.job(id)
        raise LabError(
            "The job is taken",
            f"Job {id} ({job.kind} {job.study}) is {job.status}.",
            "See `python -m engine jobs`.",
        )
    return carry_out(store, store.catalog.job(id), stop, show)


def me() -> Process:
    """Return this process, as the catalogue knows it."""
    process = psutil.Process()
    return Process(process.pid, process.create_time(), socket.gethostname())


def carry_out(store: Store, job: JobRow, stop: Stop, show: Show | None = None) -> JobRow:
    """Run a job that this process has taken to its end, as `work` does."""
    try:
        ending = _run(store, job, Heartbeat(store, job.id, f"{KINDS[job.kind].unit}s", stop, show))
    except BaseException as error:
        told = None if isinstance(error, KeyboardInterrupt) else _told(store, job, error)
        end(store, job, "stopped" if told is None else "failed", told)
        seal(store, job.id)
        if told is not None and isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise told from error
        raise
    store.catalog.finish_job(job.id, ending.status, result=ending.result)
    if job.kind == "train":
        _judge(store, job)
    return store.catalog.job(job.id)


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
    return LabError(
        "The job failed unexpectedly",
        f"Job {job.id} ({job.kind} {job.study}): {type(error).__name__}: {error}",
        f"This is a defect; the terminal or {store.logs / f'{job.id}.log'} has the details for a report.",
    )


def poll(store: Store, stop: Stop) -> int:
    """Run queued jobs one after another until asked to stop; return how many were run."""
    done = 0
    while not stop:
        id = store.catalog.next_job()
        if id is None:
            time.sleep(_POLL_S)
            continue
        try:
            job = work(store, id, stop, lambda step, steps, text: log.info("%s", text))
            log.info("job %d (%s %s) is %s", job.id, job.kind, job.study, job.status)
        except LabError as error:  # the job's own failure, kept with it; the next job is none the worse
            log.error("job %d: %s", id, error)
        except Exception:  # a defect in one job, which `work` wrote down, must not stop the others
            log.exception("job %d", id)
        done += 1
    return done
