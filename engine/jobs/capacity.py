"""What jobs may have of this machine: how many at once, and which GPUs; found without torch."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from data.errors import LabError
from data.queueing import Capacity, wants_gpu
from data.settings import settings
from data.store import catalogue_file, open_store
from engine.jobs.processes import me

VISIBLE = "CUDA_VISIBLE_DEVICES"
KEPT, ALL = "DETOUR_GPU", "DETOUR_ALL_GPUS"
"""Tell a job's process the number of the GPU that was kept for it, and all GPUs that jobs may have."""

_DRIVER = Path("/proc/driver/nvidia/gpus")
_ASK_S = 20.0


def capacity(at_once: int | None = None) -> Capacity:
    """Return what jobs may have of this machine; on a Ray cluster, Ray counts what is free.

    Args:
        at_once: jobs at once, where another number than the configured one is wanted.
    """
    if settings().jobs.runner == "ray":
        return Capacity(0)
    asked = at_once or settings().jobs.at_once
    return Capacity(asked or max(2, (os.cpu_count() or 1) // 2), tuple(gpus()))


def gpus() -> dict[int, str]:
    """Return the GPUs of this machine that jobs may have: their number, and what CUDA calls them."""
    asked, seen = settings().jobs.gpus, os.environ.get(ALL, os.environ.get(VISIBLE))
    if seen is None:
        names = [str(number) for number in range(_found() if asked < 0 else asked)]
    else:
        names = [name.strip() for name in seen.split(",") if name.strip()]
        names = names if asked < 0 else names[:asked]
    return {int(name) if name.isdecimal() else place: name for place, name in enumerate(names)}


@cache
def _found() -> int:
    if _DRIVER.is_dir():
        return len(list(_DRIVER.iterdir()))
    if (asking := shutil.which("nvidia-smi")) is None:
        return 0
    try:
        told = subprocess.run([asking, "-L"], capture_output=True, text=True, timeout=_ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):  # a driver that does not answer has no GPU to give
        return 0
    return sum(line.startswith("GPU ") for line in told.stdout.splitlines())


def environment(gpu: int | None) -> dict[str, str]:
    """Return the variables by which a job's process sees its own GPU alone, or none."""
    there = gpus()
    if not there and settings().jobs.gpus != 0:
        return {KEPT: ""}  # one of another maker may be there, which is nothing to hide
    if gpu is None:
        return {VISIBLE: "", KEPT: "", ALL: ",".join(there.values())}
    return {VISIBLE: there.get(gpu, str(gpu)), KEPT: str(gpu), ALL: ",".join(there.values())}


def kept_gpu() -> int | None:
    """Return the number of the GPU that was kept for this process, if one was."""
    return int(os.environ[KEPT]) if os.environ.get(KEPT) else None


def see_free_gpu(root: Path, spec: Mapping[str, Any], job: int | None = None) -> int | None:
    """Let this process see one GPU that no job has, before torch looks, where its job is to have one.

    Args:
        root: of the store, which may not be there yet.
        spec: what the job is to do.
        job: its number, of one that goes on.

    Returns:
        The GPU's number, to be kept with the job; None where it is to have none.

    Raises:
        LabError: every GPU is taken.
    """
    there, store = capacity(), open_store(root) if catalogue_file(root) else None
    begun = store.catalog.job_runs(job) if store is not None and job is not None else []
    if not wants_gpu(spec, begun[0].device if begun else None, there.gpus):
        return None
    free = list(there.gpus) if store is None else store.catalog.free_gpus(me().host, there)
    if not free:
        raise LabError(
            "Every GPU is taken",
            f"Jobs have all {len(there.gpus)} GPUs of this machine, each for itself.",
            "Wait for one with --queue"
            + ("." if job is not None else ", or train on the CPU with --device cpu."),
        )
    os.environ.update(environment(free[0]))
    return free[0]
