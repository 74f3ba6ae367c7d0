"""Results that a job computes and a store keeps: told where they are there, computed first where not."""

from collections.abc import Callable
from typing import Any

from data.rows import AnalysisRow, JobKind
from data.store import Store
from engine.cli.bar import bar
from engine.cli.command import Outcome
from engine.jobs.worker import carry_out, me, stop_on_signals


def once(
    store: Store,
    kind: JobKind,
    study: str,
    spec: dict[str, Any],
    row: AnalysisRow | None,
    told: Callable[[Store, AnalysisRow, str], Outcome],
) -> Outcome:
    """Return what a result says, of a job in the foreground where it is not kept yet.

    Args:
        store: where it is kept.
        kind: of the job; its result names the analysis.
        study: that it is of.
        spec: of the job.
        row: the stored result, if there is one.
        told: puts a result into words, after a first line.

    Raises:
        LabError: the job failed in a way that a user can mend.
    """
    if row is not None:
        return told(store, row, "This is there already.")
    with stop_on_signals() as stop, bar() as show:
        job = carry_out(store, store.catalog.create_job(kind, study, spec, me()), stop, show)
    if job.status != "done" or job.result is None:
        data = {"job": job.id, "study": job.study, "status": job.status, "analysis": None}
        return Outcome(f"Job {job.id} is {job.status}; nothing is kept of it.", data, 130)
    return told(store, store.catalog.analysis(job.result["analysis"]), f"Job {job.id} is done.")
