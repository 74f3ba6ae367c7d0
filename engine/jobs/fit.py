"""The job that fits latent states to a study's runs and keeps the result."""

import os

from data.analyses import save
from data.errors import LabError
from data.store import Store
from engine.analysis import latent
from engine.jobs.fit_request import FitRequest, fit_request, stored
from engine.jobs.progress import Ending, Progress
from engine.version import code_version

WORKERS = 2
"""Processes that share a large search."""
LARGE = 1_500_000
"""Rows times states times restarts from which starting processes pays. On one core a search of this size (14
metrics, 1 to 8 states, 10 restarts, its folds included) took 9 s with diagonal covariances, and one of half
this size 14 s with full ones; two processes took 2 s to begin, and again for the refits."""


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Fit what the job's specification says, unless the very same fit is kept already.

    Args:
        store: where the runs are and the result is kept.
        job_id: a job whose spec holds the fields of a ``FitRequest``; ``arms`` and ``metrics`` may be None.
        progress: told after every climb, in climbs; True stops the fit.

    Returns:
        ``"done"`` with the number of the analysis, or ``"stopped"`` with nothing kept.

    Raises:
        LabError: a study, arm or metric that is not there, or runs that cannot be fitted.
    """
    wanted = fit_request(store, **store.catalog.job(job_id).spec)
    data_version = store.traces.version(wanted.study)
    row = stored(store, wanted, data_version)
    if row is None:
        try:
            row_id = _fit(store, job_id, wanted, data_version, progress)
        except latent.Stopped:
            return Ending("stopped", {})
    else:
        row_id = row.id
    return Ending("done", {"analysis": row_id, "fitted": row is None})


def _fit(store: Store, job_id: int, wanted: FitRequest, data_version: str, progress: Progress) -> int:
    """Fit, keep the result, and return its number."""
    runs = store.traces.matrices(wanted.study, wanted.metrics, arms=wanted.arms)
    message = f"{wanted.study}, {len(runs)} runs, {wanted.states[0]} to {wanted.states[-1]} states"

    def climbs_done(done: int, total: int) -> bool:
        return progress(done, total, message) and done < total

    try:
        selection = latent.fit(
            [run.values for run in runs],
            wanted.metrics,
            wanted.states,
            wanted.covariance,
            wanted.normalize,
            wanted.restarts,
            wanted.seed,
            climbs_done,
            groups=[run.seed for run in runs],  # arms share a seed's start, so they are held out together
            topology=wanted.topology,
            every=wanted.every,
            workers=_workers(sum(len(run.values) for run in runs), wanted),
            refits=wanted.refits,
        )
    except ValueError as error:
        raise LabError(
            "The runs could not be fitted",
            f"`{wanted.study}`: {error}",
            "Train more seeds, or choose other metrics.",
        ) from error
    transitions = latent.explain(selection.best, [run.values for run in runs])
    labels = [{"run": run.run, "arm": run.arm, "seed": run.seed} for run in runs]
    steps = [run.steps for run in runs]
    summary, arrays = latent.to_record(selection, labels, steps, wanted.restarts, wanted.seed, transitions)
    version, seed = code_version(), wanted.seed
    row = save(
        store, wanted.study, "latent", wanted.spec, summary, arrays, version, data_version, seed, job_id
    )
    return row.id


def _workers(rows: int, wanted: FitRequest) -> int:
    """Return how many processes the search is worth."""
    large = rows * sum(wanted.states) * wanted.restarts >= LARGE
    return min(WORKERS, os.cpu_count() or 1) if large else 1
