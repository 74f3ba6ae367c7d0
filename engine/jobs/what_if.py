"""The job that tries the orders of a small data set and keeps what they would do, without any training."""

from collections.abc import Callable
from typing import Any

import numpy as np

from data.analyses import save
from data.errors import LabError
from data.store import Store
from engine.analysis.shuffling import what_if
from engine.analysis.shuffling.batchings import orders_of_each
from engine.analysis.shuffling.what_if import Stopped
from engine.analysis.shuffling.what_if_record import COUNTABLE, to_record
from engine.jobs.progress import Ending, Progress
from engine.jobs.what_if_request import KIND, MOST_NAMES, WhatIfRequest, stored, what_if_request
from engine.version import code_version


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Try what the job's specification says, unless the very same result is kept already.

    Args:
        store: where the result is kept.
        job_id: a job whose spec holds the fields of a ``WhatIfRequest`` but its table.
        progress: told every few orders; True stops the job.

    Returns:
        ``"done"`` with the number of the analysis, or ``"stopped"`` with nothing kept.

    Raises:
        LabError: a study that is not there, or data that cannot be read or tried.
    """
    wanted = what_if_request(**store.catalog.job(job_id).spec)
    store.catalog.study(wanted.study)
    row = stored(store, wanted)
    if row is not None:
        return Ending("done", {"analysis": row.id, "tried": False})
    n, d = wanted.table.X.shape
    message = f"{wanted.name}, {n:,} examples of {d:,} features, batches of {wanted.batch_size:,}"
    # A batching stands for many orders, which are what a reader counts.
    each = orders_of_each(n, wanted.batch_size) if wanted.selection == "all" else 1
    each = each if each * wanted.batchings <= COUNTABLE else 1
    try:
        summary, arrays = tried(
            wanted, lambda done, total: progress(done * each, total * each, message) and done < total
        )
    except Stopped:
        return Ending("stopped", {})
    row = save(
        store, wanted.study, KIND, wanted.inputs, summary, arrays, code_version(), wanted.data_version,
        wanted.seed, job_id,
    )  # fmt: skip
    return Ending("done", {"analysis": row.id, "tried": True})


def tried(
    wanted: WhatIfRequest, progress: Callable[[int, int], bool] | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the record of what the orders do, see ``to_record``, with what it was asked of.

    The summary also holds `name`, `sha256`, `examples`, `features`, `classes` (of -1 and +1: what the data
    call them, how many other names there are, and the examples), `batch_size`, `eps`, `intercept`,
    `scale_trained` and `told`; the arrays `X` and `labels`.

    Raises:
        LabError: the linear program found no split.
        Stopped: `progress` returned True.
    """
    table = wanted.table
    try:
        found = what_if(
            table.X, table.labels, wanted.batch_size, wanted.eps, wanted.intercept, wanted.scale_trained,
            wanted.all_up_to, wanted.draws, wanted.seed, progress, wanted.orders or None,
        )  # fmt: skip
    except ArithmeticError as error:
        raise LabError(
            "The orders could not be judged",
            f"{wanted.name}: {error}",
            "Set eps above 0, for example 1e-5, or leave out features that hardly vary.",
        ) from error
    summary, arrays = to_record(found, wanted.orders)
    n, d = table.X.shape
    summary |= {
        "name": wanted.name,
        "sha256": table.sha256,
        "examples": n,
        "features": d,
        "classes": {
            "negative": _side(table.negative, int((table.labels < 0).sum())),
            "positive": _side(table.positive, int((table.labels > 0).sum())),
        },
        "batch_size": wanted.batch_size,
        "eps": wanted.eps,
        "intercept": wanted.intercept,
        "scale_trained": wanted.scale_trained,
        "told": list(table.told),
    }
    return summary, arrays | {"X": table.X, "labels": table.labels}


def _side(names: tuple[str, ...], examples: int) -> dict[str, Any]:
    return {
        "names": list(names[:MOST_NAMES]),
        "others": max(len(names) - MOST_NAMES, 0),
        "examples": examples,
    }
