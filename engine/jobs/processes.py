"""Which process does something: this one, and whether another one still runs."""

import socket

import psutil

from data.catalog_jobs import Process

# A process id is used again by the system, so a process is known by its id and its start, which the kernel
# rounds and the clock's corrections shift a little.
_START_TOLERANCE_S = 2.0


def me() -> Process:
    """Return this process, as the catalogue knows it."""
    process = psutil.Process()
    return Process(process.pid, process.create_time(), socket.gethostname())


def alive(pid: int | None, started: float | None) -> bool:
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
