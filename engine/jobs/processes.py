"""Which process does something: this one, and whether another one still runs."""

import socket
from pathlib import Path

import psutil

from data.catalog_jobs import Process

# A process id is used again by the system, so a process is known by its id and its start. In seconds since
# the epoch the kernel rounds it, and whoever sets the clock shifts it.
_START_TOLERANCE_S = 2.0
_TICKS = 10**11
"""More ticks of the kernel than a machine sees between two boots."""


def me() -> Process:
    """Return this process, as the catalogue knows it."""
    process = psutil.Process()
    return Process(process.pid, start_of(process), socket.gethostname())


def start_of(process: psutil.Process) -> float:
    """Return when a process started, as the catalogue keeps it.

    On Linux below 0: which boot of the machine it was, and ticks since then, which no setting of the clock
    changes. Elsewhere seconds since the epoch.

    Raises:
        psutil.NoSuchProcess: it has ended.
    """
    try:
        boot = int(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:4], 16)
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return float(process.create_time())
    return -float(boot * _TICKS + int(stat.rpartition(")")[2].split()[19]))


def alive(pid: int | None, started: float | None) -> bool:
    """Whether the process of that id and start (see `start_of`) still runs."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        if started < 0:
            same = start_of(process) == started
        else:
            same = abs(float(process.create_time()) - started) < _START_TOLERANCE_S
        return same and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # another user's process, so one that lives
        return True
