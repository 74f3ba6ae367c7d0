"""Starts processes for queued jobs, here or on a Ray cluster."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from data.catalog_jobs import Process
from data.rows import JobRow
from data.settings import settings
from data.store import Store
from engine.jobs.processes import start_of

ROOT = Path(__file__).resolve().parents[2]

# Handles of the workers that this process started: polling them is what clears them away once they end.
_started: dict[int, subprocess.Popen[bytes]] = {}


def launch(store: Store, job: int, environment: dict[str, str]) -> Process | None:
    """Start a process that takes a queued job and outlives this one.

    Args:
        store: where the job is, and the log that the process writes.
        job: its number.
        environment: variables on top of this process's own.

    Returns:
        The process, for `note_process`; None where it starts on a machine that will say so itself.

    Raises:
        LabError: jobs run on Ray, and there is no cluster.
    """
    if settings().jobs.runner == "ray":
        from engine.jobs import launching_ray  # an extra, and a second to load

        launching_ray.launch(store, job, str(ROOT), environment)
        return None
    store.logs.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "engine", "worker", "--job", str(job)]
    with (store.logs / f"{job}.log").open("ab") as log:
        process = _started[job] = subprocess.Popen(
            [*command, "--store", str(store.root.absolute())],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        began = start_of(psutil.Process(process.pid))
    except psutil.NoSuchProcess:  # it ended, and another thread has cleared it away
        began = 0.0
    return Process(process.pid, began, socket.gethostname())


def vanished(store: Store, job: JobRow) -> bool:
    """Whether a job elsewhere was started on Ray and is not there any more, or was never there."""
    if settings().jobs.runner != "ray":
        return False
    from engine.jobs import launching_ray

    return not launching_ray.running(store, job.id)


def clear_away() -> None:
    """Let go of the processes that this one started and that ended."""
    for job, process in list(_started.items()):
        if process.poll() is not None:
            del _started[job]
