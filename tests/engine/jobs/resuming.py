"""Going on: whatever ended a training, with `resume` it has the rows and weights of one that never ended."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype

from data.store import Store
from engine.jobs import train
from engine.jobs.worker import Stop, carry_out, me
from engine.studies import Arm, Study

TINY = Study(
    name="tiny",
    title="Tiny",
    claim="Nothing.",
    dataset="digits",
    model="linear-network",
    model_settings={"width": 4, "depth": 2, "norm": "batch"},
    arms=(
        Arm("SS", "SS"),
        Arm("RR", "RR", training={"epochs": 1, "optimizer": "adam", "lr": 0.01}),
        Arm("wild", "RR", {"norm": "none"}, training={"lr": 3.0, "momentum": 0.9}),
    ),
    epochs=2,
    batch_size=64,
    momentum=0.5,
    dtype="float64",
    evaluate_every=2,
    checkpoints=(0, 8),
    cadence={"test_loss": 16},
    stop_below={"full_batch_risk": 1.14},
)


def finished(store: Store) -> dict[str, Any]:
    """Return all that a training leaves which must not depend on how often it was interrupted."""
    (study,) = (row.name for row in store.catalog.studies())
    path = store.root / "all.parquet"
    store.traces.export(study, path)
    frame = pd.read_parquet(path).drop(columns="seconds")
    runs = {row.id: row for row in store.catalog.runs(study)}
    return {
        "rows": {
            name: column.to_numpy().tobytes() for name, column in frame.items() if is_numeric_dtype(column)
        },
        "keys": frame[["study", "arm", "seed", "step"]].to_numpy().tolist(),
        "runs": [
            (
                *(row.arm, row.seed, row.status, row.step, row.steps, repr(row.finals), row.diverged_at),
                *(row.diverged_what, row.converged_at, row.converged_what),
            )
            for row in runs.values()
        ],
        "weights": sorted(
            (row.step, [(runs[run].arm, runs[run].seed) for run in row.runs], row.sha256)
            for row in store.catalog.checkpoints(1, "weights")
        ),
        "states": store.catalog.checkpoints(1, "state"),
        "result": {
            name: value for name, value in (store.catalog.job(1).result or {}).items() if name != "seconds"
        },
    }


def begin(store: Store, study: Study, monkeypatch: pytest.MonkeyPatch, seeds: int = 2) -> int:
    monkeypatch.setattr(train, "study", lambda name: study)
    spec = {"study": study.name, "arms": [], "seeds": list(range(seeds)), "device": "cpu"}
    return store.catalog.create_job("train", study.name, spec | {"checkpoint_seconds": 0.0}, me()).id


def go_on(store: Store, id: int, progress: Callable[[int], bool]) -> str:
    """Work at a job in this process until it ends, and return how."""

    class Beat:
        time_is_up = False

        def __init__(self, *_: object) -> None:
            pass

        def __call__(self, step: int, steps: int, message: str = "") -> bool:
            return progress(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.jobs.worker.Heartbeat", Beat)
        try:
            return carry_out(store, store.catalog.job(id), Stop()).status
        except KeyboardInterrupt:
            return store.catalog.job(id).status
