"""The job that connects networks and keeps what lies between them."""

import importlib
from dataclasses import asdict
from typing import Any

import numpy as np

from data.analyses import save
from data.store import Store
from engine.jobs.connect_request import KIND, ConnectRequest, connect_request, stored
from engine.jobs.connecting._record import Stopped
from engine.jobs.networks import Networks
from engine.jobs.progress import Ending, Progress
from engine.version import code_version


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Connect what the job's specification says, unless the very same connection is kept already.

    Args:
        store: where the networks are and the result is kept.
        job_id: a job whose spec holds the fields of a ``ConnectRequest``.
        progress: told after every unit of work; True stops the job.

    Returns:
        ``"done"`` with the number of the analysis, or ``"stopped"`` with nothing kept.

    Raises:
        LabError: networks that are not there, not finite, of different architectures, or that cannot be
            matched.
    """
    wanted = connect_request(store, **store.catalog.job(job_id).spec)
    version = store.traces.version(wanted.study)
    row = stored(store, wanted, version)
    if row is not None:
        return Ending("done", {"analysis": row.id, "connected": False})
    try:
        summary, arrays = _connected(store, wanted, progress)
    except Stopped:
        return Ending("stopped", {})
    row = save(
        store, wanted.study, KIND, wanted.spec, summary, arrays, code_version(), version, wanted.seed, job_id
    )
    steps = store.catalog.job(job_id).steps
    progress(steps, steps)
    return Ending("done", {"analysis": row.id, "connected": True})


def _connected(
    store: Store, wanted: ConnectRequest, progress: Progress
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    networks = Networks(store, wanted.study, wanted.nodes[0].arm)
    # By name, so that a new question is a new file.
    module = importlib.import_module(f"engine.jobs.connecting.{wanted.what}")
    summary, arrays = module.run(networks, wanted, progress)
    summary |= {
        "what": wanted.what,
        "nodes": [asdict(node) | {"label": node.label} for node in wanted.nodes],
        "points": wanted.points,
    }
    return summary, arrays
