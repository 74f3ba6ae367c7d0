"""Jobs and studies in plain words and numbers, as the command line prints and the server sends them."""

from typing import Any

from data.rows import JobRow
from data.store import Store
from engine.jobs import queue
from engine.jobs.request import measured_seconds, request
from engine.studies import Study, studies


def jobs_told(store: Store) -> list[dict[str, Any]]:
    """Return every job, the newest first, with its place in the queue and what it waits for."""
    line = {one.job.id: (number, one.why) for number, one in enumerate(queue.line(store), 1)}
    return [_job(job, *line.get(job.id, (None, ""))) for job in store.catalog.jobs()]


def job_told(store: Store, id: int) -> dict[str, Any]:
    """Return one job, as `jobs_told` does.

    Raises:
        LabError: there is no job of that number.
    """
    store.catalog.job(id)
    return next(one for one in jobs_told(store) if one["job"] == id)


def _job(job: JobRow, position: int | None, why: str) -> dict[str, Any]:
    return {
        "job": job.id,
        "kind": job.kind,
        "study": job.study,
        "person": job.person,
        "status": job.status,
        "position": position,
        "waits_for": why,
        "gpu": job.gpu,
        "step": job.step,
        "steps": job.steps,
        "rate": job.rate,
        "message": job.message,
        "error": job.error,
        "result": job.result,
    }


def studies_told(store: Store | None) -> dict[str, Any]:
    """Return what can be trained, and what else a store holds."""
    known = [_study(definition, store) for definition in studies().values()]
    there = [] if store is None else store.catalog.studies()
    return {"studies": known, "also_in_store": [row.name for row in there if row.name not in studies()]}


def _study(definition: Study, store: Store | None) -> dict[str, Any]:
    runs = [] if store is None else store.catalog.runs(definition.name, archived=True)
    finished = sum(run.status in ("done", "diverged") for run in runs)
    measured = None if store is None else measured_seconds(request(definition.name), store.catalog.jobs())
    return {
        "study": definition.name,
        "title": definition.title,
        "claim": definition.claim,
        "arms": [arm.name for arm in definition.arms],
        "seeds": definition.seeds,
        "steps": definition.steps,
        "runs_finished": finished,
        "runs_in_store": len(runs),
        "source": definition.source,
        "expected_seconds": definition.expected_seconds if measured is None else round(measured[0], 1),
        "expected_gpu_seconds": definition.expected_gpu_seconds,
        "measured_in_job": None if measured is None else measured[1],
    }
