"""Writes the runs of one's own training loop into the lab, as they go.

```python
from engine.log import Run

with Run("my-study", arm="SGD", seed=0) as run:
    for step, batch in enumerate(batches):
        loss = train_on(batch)
        run.log(step, loss=loss, weights=model)
```

A row is safe once it was flushed: within a second after a later one was logged, at `flush`, and at the end.
The dashboard shows it from then on.
"""

import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from data.columns import RESERVED
from data.rows import JobStatus, MetricRow, RunStatus
from data.store import Store, locate, open_store
from data.trace_writer import TraceWriter
from engine.jobs.queue import reap, seal
from engine.jobs.worker import me

if TYPE_CHECKING:
    from torch import Tensor, nn

FLUSH_S = 1.0
"""Seconds after which rows are put on the disk, when the next one comes."""


class Run:
    """One run of somebody's own training; used as a context, or ended by `finish`.

    A run that ends by an exception is marked as failed, one that is interrupted as stopped, one whose loss
    ends as NaN or infinity as diverged; their rows are kept. Of several runs of one study, arm and seed the
    last finished counts.

    Args:
        study: its name; made where there is none.
        arm: what the run does differently from the runs of other arms.
        seed: which of the arm's runs it is, from 0; runs of several arms with one seed are compared as pairs.
        store: the lab's folder; None for ``$DETOUR_STORE`` or `lab` in this folder. It is made where missing.
        steps: how many there will be, for the progress that others see; 0 where nobody knows.
        config: what the run is made with; flat, JSON-able.
        flush_seconds: rows wait at most this long for the disk, in seconds, when others follow.

    Raises:
        LabError: the store cannot be used, or has a study of that name that the engine trained.
        ValueError: a seed or name that cannot be.
    """

    def __init__(
        self,
        study: str,
        arm: str,
        seed: int,
        store: str | Path | None = None,
        steps: int = 0,
        config: Mapping[str, Any] | None = None,
        flush_seconds: float = FLUSH_S,
    ) -> None:
        if not study.strip() or not arm.strip():
            raise ValueError(f"`study` and `arm` must be names; got {study!r} and {arm!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"`seed` must be a whole number from 0; got {seed!r}.")
        self._store: Store = open_store(locate(None if store is None else str(store)), create=True)
        reap(self._store)
        catalog = self._store.catalog
        catalog.require_importable(study)
        if study not in {row.name for row in catalog.studies()}:
            catalog.save_study(study, study, "", {}, "client")
        self.study = study
        self._steps = steps
        self._job = catalog.create_job("log", study, {"arm": arm, "seed": seed}, me()).id
        plain = {str(name): value for name, value in (config or {}).items()}
        (self.id,) = catalog.start_runs(self._job, study, [(arm, seed, plain)], steps, "elsewhere")
        self._flush_seconds = flush_seconds
        self._began = self._flushed = time.monotonic()
        self._writer: TraceWriter | None = None
        self._metrics: list[str] = []
        self._declared = 0
        self._rows: list[tuple[int, float, float, dict[str, float]]] = []
        self._last = -1
        self._finals: dict[str, float] = {}
        self._diverging: dict[str, tuple[int, float]] = {}
        self.stop_requested = False
        """Whether somebody asked this run to stop, in the dashboard or by `cancel`; a loop may break then."""

    def log(
        self,
        step: int,
        *,
        epoch: float | None = None,
        weights: "nn.Module | Mapping[str, Tensor] | None" = None,
        **values: float,
    ) -> None:
        """Write a row, or more of the newest one.

        Args:
            step: optimizer steps done; later than the one before, or the same where more is known of it.
            epoch: passes over the data set, with fractions.
            weights: a module, or parameters by name, of which the 14 metrics of Hu et al. are measured.
            values: metrics by name, numbers or tensors of one number; NaN and infinity are values. Names that
                are no Python names go in as ``**{"val/loss": 0.1}``.

        Raises:
            ValueError: a step that is earlier or was flushed, a value that is no number, a taken name.
            LabError: the disk is full; rows that were flushed are safe.
        """
        more = bool(self._rows) and step == self._last
        if isinstance(step, bool) or int(step) != step or not (more or step > self._last):
            raise ValueError(f"`step` must be a whole number above {self._last}; got {step!r}.")
        row = {name: _number(name, value) for name, value in values.items()}
        if weights is not None:
            row = _of_weights(weights) | row
        if not row:
            raise ValueError("`log` needs a metric, or `weights`.")
        self._name([name for name in row if name not in self._metrics])
        if more:
            self._rows[-1][-1].update(row)
        else:
            self._last = int(step)
            passes = math.nan if epoch is None else float(epoch)
            self._rows.append((self._last, passes, time.monotonic() - self._began, row))
        self._finals |= row
        for name, value in row.items():
            if math.isfinite(value):
                self._diverging.pop(name, None)
            elif "loss" in name.lower():
                self._diverging.setdefault(name, (self._last, value))
        if len(self._rows) > 1 and time.monotonic() - self._flushed >= self._flush_seconds:
            newest = self._rows.pop()
            try:
                self.flush()
            finally:
                self._rows.append(newest)

    def flush(self) -> None:
        """Put all rows on the disk, the newest too; the dashboard shows them from now on.

        Raises:
            LabError: the disk is full; the rows wait for the next flush.
        """
        self._flushed = time.monotonic()
        if not self._rows:
            return
        writer = self._writing()
        steps, epochs, seconds, rows = zip(*self._rows, strict=True)
        columns = {
            name: np.ma.masked_array(
                [row.get(name, 0.0) for row in rows], [name not in row for row in rows], np.float64
            )
            for name in self._metrics
        }
        epoch = np.ma.masked_invalid(np.array(epochs, np.float64))
        writer.write(np.full(len(steps), self.id), np.array(steps), epoch, np.array(seconds), columns)
        self._rows.clear()
        writer.flush()
        rate = (self._last + 1) / max(time.monotonic() - self._began, 1e-9)
        steps_in_all = max(self._steps, self._last)
        self._store.catalog.advance_runs({self.id: self._last})
        self.stop_requested = self._store.catalog.heartbeat(self._job, self._last, steps_in_all, rate, "")

    def _name(self, new: list[str]) -> None:
        """Take note of metrics that were not logged before."""
        taken = {name.lower() for name in self._metrics} | RESERVED
        for name in new:
            if not name or "\0" in name or name.lower() in taken:
                raise ValueError(f"A metric cannot be called {name!r}: that name is taken.")
            taken.add(name.lower())
        self._metrics += new

    def _writing(self) -> TraceWriter:
        """Return a writer that has a column for every metric."""
        new = self._metrics[self._declared :]
        if new or self._writer is None:
            if self._writer is not None:
                self._writer.close()
            self._writer = TraceWriter(self._store, self._job, self._metrics, "float64")
            self._store.catalog.save_metrics(self.study, [_described(self.study, name) for name in new])
            self._declared = len(self._metrics)
        return self._writer

    def finish(self, status: RunStatus = "done", what: str = "") -> None:
        """End the run; a second call does nothing.

        Args:
            status: how it ended; "done" becomes "diverged" where a loss ended as NaN or infinity.
            what: why, where it failed.

        Raises:
            LabError: the disk is full; what was flushed is safe.
        """
        catalog = self._store.catalog
        if catalog.job(self._job).status != "running":
            return
        self.flush()
        if self._writer is not None:
            self._writer.close()
        change: dict[str, Any] = {"status": status}
        if status == "done" and self._diverging:
            name, (step, value) = min(self._diverging.items(), key=lambda item: item[1][0])
            change = {"status": "diverged", "diverged_at": step, "diverged_what": f"{name} is {value}"}
        seconds = time.monotonic() - self._began
        ended = {"finished_at": datetime.now(UTC), "seconds": seconds, "finals": self._finals}
        steps = max(self._steps, self._last) if status != "done" else max(self._last, 0)
        catalog.update_runs([{"id": self.id, "step": max(self._last, 0), "steps": steps, **change, **ended}])
        error = {"title": "The run failed", "message": what, "remedy": "Its rows are kept."} if what else None
        jobs: dict[RunStatus, JobStatus] = {"failed": "failed", "stopped": "stopped"}
        result = {"runs": 1, "rows": self._writer.rows if self._writer else 0}
        catalog.finish_job(self._job, jobs.get(status, "done"), error=error, result=result)
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.finish()
            elif isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                self.finish("stopped")
            else:
                self.finish("failed", f"{type(error).__name__}: {error}"[:500])
        finally:
            if error is not None and self._writer is not None:
                seal(self._store, self._job)


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be one number; got {value!r}.") from error


def _of_weights(weights: Any) -> dict[str, float]:
    import torch  # here: a run that measures no weights does without

    from engine.metrics import of_weights

    parameters = dict(weights.named_parameters()) if isinstance(weights, torch.nn.Module) else weights
    return of_weights(parameters)


def _described(study: str, name: str) -> MetricRow:
    from engine.metrics import OF_WEIGHTS, metrics

    if name in OF_WEIGHTS:
        known = metrics()[name]
        return MetricRow(study, name, known.label, known.unit, known.formula, known.source, known.log)
    return MetricRow(study, name, name, "", "as logged by the run", "engine.log", "loss" in name.lower())
