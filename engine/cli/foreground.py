"""A training in the foreground, with a progress bar; what `train` and `resume` have in common."""

import time
from collections.abc import Callable
from typing import Any

from data.catalog_jobs import Process
from data.rows import JobRow
from data.store import Store
from engine.cli.bar import bar
from engine.cli.command import Outcome
from engine.jobs.described import job_told
from engine.jobs.progress import duration
from engine.jobs.worker import carry_out, me, stop_on_signals


def foreground(store: Store, begin: Callable[[Process], JobRow]) -> Outcome:
    """Carry out the job that `begin` gives to this process; the first Ctrl-C asks it to stop.

    Raises:
        LabError: the job failed in a way that the user can mend.
    """
    began = time.monotonic()
    with stop_on_signals() as stop, bar() as show:
        job = carry_out(store, begin(me()), stop, show)
    seconds = time.monotonic() - began
    result = job.result or {}
    data = {
        "job": job.id,
        "study": job.study,
        "status": job.status,
        "runs": result.get("runs", 0),
        "rows": result.get("rows", 0),
        "seconds": round(seconds, 3),
    }
    text = (
        f"Job {job.id} is {job.status}: {data['runs']:,} runs and {data['rows']:,} rows of `{job.study}` "
        f"in {duration(seconds)}, kept in {store.root}."
    )
    if lost := result.get("diverged", 0):
        text += (
            f"\n{lost:,} of the runs diverged: each ends where its loss was not finite, or above the bound."
        )
    if job.status == "done":
        return Outcome(text, data)
    return Outcome(f"{text}\nGo on with: python -m engine resume {job.id}", data, 130)


def queued(store: Store, id: int) -> Outcome:
    """Say where a job stands that was queued and is no longer this process's business."""
    return queued_told(job_told(store, id))


def queued_told(job: dict[str, Any]) -> Outcome:
    """Say the same of a job as `job_told` tells of it."""
    text = f"Job {job['job']} ({job['kind']} {job['study']}) "
    if job["position"] is None:
        text += "begins now."
    else:
        text += f"is number {job['position']} in the queue: {job['waits_for'] or 'it waits for a worker'}."
    text += "\nSee `python -m engine jobs`."
    return Outcome(text, {name: job[name] for name in ("job", "study", "status", "position")})
