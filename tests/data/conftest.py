"""Stores to test with, and rows whose right values are known from their run and step alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.store import Store, open_store
from data.traces import TraceWriter


class Lab:
    """A store in a temporary folder and the few steps that most tests begin with."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.traces = store.traces
        self.catalog = store.catalog

    def study(self, name: str = "study") -> str:
        self.catalog.save_study(name, name.title(), "A claim.", {"lr": 0.1}, "engine")
        return name

    def job(self, study: str = "study", kind: str = "train") -> int:
        return self.catalog.create_job(kind, self.study(study), {}).id  # type: ignore[arg-type]

    def runs(self, job: int, arms: dict[str, int], study: str = "study", steps: int = 100) -> list[int]:
        wanted = [(arm, seed, {}) for arm, seeds in arms.items() for seed in range(seeds)]
        return self.catalog.start_runs(job, study, wanted, steps, "cpu")

    def write(
        self,
        job: int,
        runs: list[int],
        values: dict[str, np.ndarray],
        steps: np.ndarray | None = None,
        seconds: np.ndarray | None = None,
        live: bool = False,
        **options: object,
    ) -> TraceWriter:
        """Write values [runs, steps] (masked: not measured), sealed unless `live`, and return the writer."""
        first = next(iter(values.values()))
        steps = np.arange(first.shape[1]) if steps is None else steps
        seconds = steps * 0.25 if seconds is None else seconds
        writer = TraceWriter(self.store, job, list(values), **options)  # type: ignore[arg-type]
        count = len(runs)
        writer.write(
            np.repeat(runs, len(steps)),
            np.tile(steps, count),
            np.tile(steps / 10.0, count),
            np.tile(seconds, count),
            {name: array.reshape(-1) for name, array in values.items()},
        )
        writer.flush()
        if not live:
            writer.close()
        return writer


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    store = open_store(tmp_path / "lab", create=True)
    yield Lab(store)
    store.close()
