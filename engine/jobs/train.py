"""The job that trains a study and writes its traces."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np

from data.errors import LabError
from data.rows import MetricRow
from data.store import Store
from data.trace_writer import TraceWriter
from engine.jobs.progress import Ending, Progress
from engine.metrics import metrics
from engine.studies import Study, study
from engine.training.loop import choose_device, replicas_of, train
from engine.training.record import Rows

# Rows are acknowledged at least this often, so that a viewer is never further behind.
_FLUSH_S = 0.5


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Train what the job's specification says.

    Args:
        store: where the study, its runs and their traces are written.
        job_id: a job whose spec holds ``study``, ``overrides``, ``arms``, ``seeds`` and ``device``.
        progress: told after every stretch, in steps summed over the runs; True stops the training.

    Returns:
        ``"done"`` or ``"stopped"`` with the numbers of runs, diverged runs and acknowledged rows.

    Raises:
        LabError: a study, arm, setting or device that is not there.
    """
    spec = store.catalog.job(job_id).spec
    wanted = study(spec["study"]).override(spec.get("overrides") or {})
    device = choose_device(spec.get("device", "auto"))
    replicas = replicas_of(wanted, spec.get("arms") or [], spec["seeds"])
    columns = declare(store, wanted)
    ids = np.array(
        store.catalog.start_runs(
            job_id,
            wanted.name,
            [(replica.arm, replica.seed, _settings(wanted, replica.arm)) for replica in replicas],
            wanted.steps,
            str(device),
        )
    )
    began = time.monotonic()
    endings: dict[int, dict[str, Any]] = {
        int(id): {"id": int(id), "status": "done", "step": 0, "finals": {}} for id in ids
    }
    total, stopped, flushed = wanted.steps * len(ids), False, began
    with TraceWriter(store, job_id, columns, wanted.dtype) as writer:
        for stretch in train(wanted, replicas, device):
            elapsed = time.monotonic() - began
            for rows in stretch.rows:
                writer.write(
                    ids[rows.replicas],
                    rows.steps,
                    rows.epochs,
                    np.full(len(rows.steps), elapsed),
                    rows.columns,
                )
                _note_finals(endings, ids, rows)
            for lost in stretch.diverged:
                endings[int(ids[lost.replica])] |= {
                    "status": "diverged",
                    "step": lost.step,
                    "diverged_at": lost.step,
                    "diverged_what": lost.what,
                }
            if time.monotonic() - flushed >= _FLUSH_S:
                writer.flush()
                flushed = time.monotonic()
            if progress(stretch.steps_done, total, f"{wanted.name}, {len(ids)} runs on {device}"):
                stopped = stretch.steps_done < total
                break
    seconds, now = time.monotonic() - began, datetime.now(UTC)
    for ending in endings.values():
        if stopped and ending["status"] == "done":
            ending["status"] = "stopped"
        ending |= {"seconds": seconds, "finished_at": now}
    store.catalog.update_runs(endings.values())
    diverged = sum(ending["status"] == "diverged" for ending in endings.values())
    result = {"runs": len(ids), "diverged": diverged, "rows": writer.rows, "seconds": seconds}
    return Ending("stopped" if stopped else "done", result)


def require_same(store: Store, wanted: Study) -> None:
    """Refuse to mix runs of two definitions under one name, and so in one mean.

    Raises:
        LabError: the store holds runs of a study of this name with other settings.
    """
    if not any(row.name == wanted.name for row in store.catalog.studies()):
        return
    words = ("title", "claim", "seeds", "comparisons")
    new = json.loads(json.dumps(wanted.config()))
    old = store.catalog.study(wanted.name).config
    changed = sorted(key for key in new if key not in words and new[key] != old.get(key))
    if changed and store.catalog.runs(wanted.name, archived=True):
        raise LabError(
            "The study was changed",
            f"The store holds runs of `{wanted.name}` with another {', '.join(changed)}.",
            "Give the changed study a name of its own, or train it into another store with --store.",
        )


def declare(store: Store, wanted: Study) -> list[str]:
    """Write down the study and what its columns mean; return the names of the columns."""
    require_same(store, wanted)
    store.catalog.save_study(wanted.name, wanted.title, wanted.claim, wanted.config(), "engine")
    batch_loss = MetricRow(
        study=wanted.name,
        name="batch_loss",
        label="Batch loss",
        unit="nats",
        formula="cross-entropy of the batch of the step just taken, before its update",
        source="the usual definition",
        log=True,
    )
    rows = [batch_loss] + [
        MetricRow(wanted.name, name, metric.label, metric.unit, metric.formula, metric.source, metric.log)
        for name, metric in metrics().items()
    ]
    store.catalog.save_metrics(wanted.name, rows)
    return [row.name for row in rows]


def _settings(wanted: Study, arm: str) -> dict[str, Any]:
    """Return what a run was trained with, flat, as its configuration shows it."""
    chosen = wanted.arm(arm)
    shared = {
        name: getattr(wanted, name)
        for name in ("dataset", "model", "epochs", "batch_size", "lr", "momentum", "weight_decay", "dtype")
    }
    return {
        **shared,
        **{f"model.{name}": value for name, value in wanted.model_of(arm).items()},
        "ordering": chosen.ordering,
        **{f"ordering.{name}": value for name, value in chosen.ordering_settings.items()},
        "evaluate_every": wanted.evaluate_every,
    }


def _note_finals(endings: dict[int, dict[str, Any]], ids: np.ndarray, rows: Rows) -> None:
    """Keep each run's latest step and, where metrics were evaluated, their latest values."""
    evaluated = "full_batch_risk" in rows.columns
    for at, replica in enumerate(rows.replicas):
        ending = endings[int(ids[replica])]
        ending["step"] = max(ending["step"], int(rows.steps[at]))
        if evaluated:
            ending["finals"] |= {name: float(values[at]) for name, values in rows.columns.items()}
