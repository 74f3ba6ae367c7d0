"""Starts queued jobs on a Ray cluster whose machines share the store's folder and its database."""

import hashlib
import logging
import os
import signal
import socket
import threading
from typing import Any

from data.database_sqlite import SQLite
from data.errors import LabError
from data.queueing import wants_gpu
from data.settings import settings, variable
from data.store import Store

try:
    import ray as loaded
except ImportError as error:
    raise LabError(
        "Ray is not installed",
        f"`jobs.runner` is ray, and it cannot be loaded ({error}).",
        "Run `.venv/bin/python -m pip install -r requirements-ray.txt`.",
    ) from error

ray: Any = loaded  # whose functions have no types

# What a job's process has to know of the configuration; it has no business with the rest.
_CARRIED = ("catalogue", "jobs.", "limits.", "keeping.")
_ANSWERS_S = 5.0
_GPU = ("CUDA_VISIBLE_DEVICES", "DETOUR_GPU", "DETOUR_ALL_GPUS")


def launch(store: Store, job: int, root: str, environment: dict[str, str]) -> None:
    """Have the cluster run a queued job once it has room; without effect where it does already.

    The job is a detached actor, which outlives this process, and waits for its CPU and its GPU in Ray. It
    claims the job itself, and writes the log that a process here would.

    Args:
        store: where the job is, on a folder that every machine sees under the same path.
        job: its number.
        root: where Detour is, on every machine.
        environment: variables on top of the machine's own.

    Raises:
        LabError: there is no cluster, or its machines cannot share the catalogue; the job waits again then.
    """
    try:
        _connect()
        _require_shared(store)
        if not running(store, job):
            gpus = int(_wants_gpu(store, job))
            actor = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(_actor())
            options = {"name": str(job), "namespace": _namespace(store), "lifetime": "detached"}
            actor.options(**options).remote(root, str(store.root), job, _variables(environment))
    except (LabError, ValueError) as error:
        if isinstance(error, ValueError) and running(store, job):
            return  # another process was faster
        store.machine.catalog.release_job(job, os.getpid())
        raise


def running(store: Store, job: int) -> bool:
    """Whether the cluster has a job, running or waiting for room."""
    _connect()
    try:
        ray.get_actor(str(job), namespace=_namespace(store))
    except ValueError:
        return False
    return True


def _connect() -> None:
    if ray.is_initialized():
        return
    address, ours = settings().jobs.ray_address or "auto", signal.getsignal(signal.SIGTERM)
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():  # Ray itself would try for minutes, and then end this process
            socket.create_connection((host, int(port)), _ANSWERS_S).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        where = (
            f"at `{address}`" if address != "auto" else "on this machine, and `jobs.ray_address` names none"
        )
        raise LabError(
            "There is no Ray cluster",
            f"None answers {where} ({str(error).splitlines()[0]}).",
            "Start one with `ray start --head`, or mend `jobs.ray_address`.",
        ) from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, ours)  # Ray takes the signal by which this process is asked to stop


def _require_shared(store: Store) -> None:
    machines = {node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    if isinstance(store.catalog.backend, SQLite) and len(machines) > 1:
        raise LabError(
            "Several machines cannot share a SQLite file",
            f"The cluster has {len(machines)} machines; the catalogue is `{store.catalog.path}`.",
            "Move the store into PostgreSQL: back it up, set `catalogue`, and restore it into a new folder.",
        )


def _namespace(store: Store) -> str:
    schema = getattr(store.catalog.backend, "schema", "")
    return "detour-" + hashlib.sha256(f"{store.root} {schema}".encode()).hexdigest()[:16]


def _wants_gpu(store: Store, job: int) -> bool:
    begun = store.catalog.job_runs(job)
    gpus = range(int(ray.cluster_resources().get("GPU", 0)))
    return wants_gpu(store.catalog.job(job).spec, begun[0].device if begun else None, gpus)


def _variables(environment: dict[str, str]) -> dict[str, str]:
    """Return what the process is to know; Ray says which GPU it has."""
    found, told = settings(), {name: value for name, value in environment.items() if name not in _GPU}
    for name in found.origins:
        if name.startswith(_CARRIED):
            section, _, key = name.rpartition(".")
            value = getattr(getattr(found, section) if section else found, key)
            told[variable(name)] = ",".join(value) if isinstance(value, tuple) else str(value)
    # The file is of another machine. A job that ends starts those that wait, on the cluster that it is on.
    return {**told, "DETOUR_CONFIG": os.devnull, "DETOUR_JOBS_RAY_ADDRESS": "auto", "PYTHONUNBUFFERED": "1"}


def _actor() -> type[Any]:
    """Return the actor's class; made here, so that it travels by value: no worker of Ray knows Detour yet."""

    class Job:
        """Runs one job to its end, and goes."""

        def __init__(self, root: str, store: str, job: int, environment: dict[str, str]) -> None:
            import importlib
            import logging
            import os
            import sys
            from pathlib import Path

            import ray.actor

            leave: Any = ray.actor.exit_actor
            os.environ.update(environment)
            os.chdir(root)
            sys.path.insert(0, root)
            folder = Path(store) / "logs"
            folder.mkdir(exist_ok=True)
            log = (folder / f"{job}.log").open("a", encoding="utf-8", buffering=1)
            sys.stdout = sys.stderr = log
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            logging.root.handlers.clear()  # those of Ray's worker
            words = ["worker", "--job", str(job), "--store", store]
            try:
                importlib.import_module("engine.cli.main").main(words)
            finally:
                leave()

    return Job
