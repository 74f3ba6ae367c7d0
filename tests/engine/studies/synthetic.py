"""Stores with known curves, as a training would have left them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from data.rows import MetricRow
from data.store import Store, open_store
from data.traces import TraceWriter
from engine.studies import Study

Curves = Mapping[tuple[str, int], Mapping[str, np.ndarray]]


def record(
    root: Path,
    study: Study,
    curves: Curves,
    steps: np.ndarray,
    status: Mapping[tuple[str, int], str] | None = None,
) -> Store:
    """Keep the curves of each arm and seed, all measured at `steps`; `status` names runs not done."""
    store = open_store(root, create=True)
    store.catalog.save_study(study.name, study.title, study.claim, study.config(), "engine")
    names = sorted({name for columns in curves.values() for name in columns})
    store.catalog.save_metrics(
        study.name, [MetricRow(study.name, name, name, "", "", "", False) for name in names]
    )
    job = store.catalog.create_job("train", study.name, {"study": study.name, "arms": [], "seeds": []})
    ids = store.catalog.start_runs(job.id, study.name, [(*key, {}) for key in curves], int(steps[-1]), "cpu")
    with TraceWriter(store, job.id, names, "float64") as writer:
        for run, columns in zip(ids, curves.values(), strict=True):
            at = np.asarray(steps)
            blank = np.ma.masked_all(len(at), dtype=float)
            writer.write(
                np.full(len(at), run),
                at,
                at / 1.0,
                at * 0.0,
                {name: columns.get(name, blank) for name in names},
            )
    given = status or {}
    store.catalog.update_runs(
        [{"id": run, "status": given.get(key, "done")} for run, key in zip(ids, curves, strict=True)]
    )
    store.catalog.finish_job(job.id, "done")
    return store
