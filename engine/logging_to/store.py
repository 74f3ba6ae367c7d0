"""A run that logs itself into a store on this machine."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from data.columns import schema
from data.errors import LabError
from data.importing.committing import require_name
from data.importing.limits import LIMITS
from data.recovery import recover
from data.rows import JobStatus, MetricRow, RunStatus
from data.store import Store, locate, open_store
from data.trace_writer import TraceWriter
from engine.jobs.queue import reap
from engine.jobs.worker import me
from engine.logging_to import Ended, Row


class StoreSink:
    """Writes one run's rows as the traces of a job of its own.

    Args:
        store: the open store.
        job: a job of the kind "log" with one run, in the hands of this process.
    """

    def __init__(self, store: Store, job: int) -> None:
        self._store = store
        self.job = job
        (self._run,) = store.catalog.job_runs(job)
        self._metrics: list[str] = []
        self._writer: TraceWriter | None = None
        self._last = self._run.step
        self._own: int | None = None
        """The last step that this sink wrote; None before there is one."""

    @classmethod
    def begin(
        cls, root: str | Path, study: str, arm: str, seed: int, steps: int, config: Mapping[str, Any]
    ) -> Self:
        """Begin a run in the store at `root`, which is made where there is none.

        Raises:
            LabError: the store cannot be used, or has a study of that name that the engine trained.
        """
        store = open_store(locate(str(root)), create=True)
        reap(store)
        return cls(store, start(store, study, arm, seed, steps, config))

    def write(self, rows: Sequence[Row], metrics: Sequence[MetricRow]) -> bool:
        """Put rows on the disk; see ``Sink``."""
        # What a client sends twice, because it did not hear that it was taken, is passed over: rows of this
        # sink here, those of a sink before it by the writer.
        rows = [row for row in rows if self._own is None or row.step > self._own]
        if not rows:
            return self._store.catalog.job(self.job).stop_requested
        writer = self._writing([name for row in rows for name in row.values])
        if metrics:
            self._store.catalog.save_metrics(self._run.study, metrics)
        columns = {
            name: np.ma.masked_array(
                [row.values.get(name, 0.0) for row in rows],
                [name not in row.values for row in rows],
                np.float64,
            )
            for name in self._metrics
        }
        epoch = np.ma.masked_invalid([np.nan if row.epoch is None else row.epoch for row in rows])
        steps, seconds = np.array([row.step for row in rows]), np.array([row.seconds for row in rows])
        try:
            writer.write(np.full(len(rows), self._run.id), steps, epoch, seconds, columns)
            writer.flush()
        except LabError:
            with suppress(LabError):  # who comes with these rows again gets a writer that knows what is there
                self.close()
            raise
        self._own = rows[-1].step
        self._last = max(self._last, self._own)
        self._store.catalog.advance_runs({self._run.id: self._last})
        rate = (rows[-1].step + 1) / max(rows[-1].seconds, 1e-9)
        return self._store.catalog.heartbeat(self.job, self._last, max(self._run.steps, self._last), rate, "")

    def _writing(self, names: Sequence[str]) -> TraceWriter:
        """Return a writer that has a column for every metric."""
        new = [name for name in dict.fromkeys(names) if name not in self._metrics]
        if new or self._writer is None:
            wanted = [*self._metrics, *new]
            schema(wanted, "float64")  # names that cannot be are refused while the former writer still writes
            self.close()
            self._writer = TraceWriter(self._store, self.job, wanted, "float64", retrace=True)
            self._metrics = wanted
        return self._writer

    def end(self, ended: Ended) -> None:
        """Write down how the run ended; see ``Sink``."""
        catalog = self._store.catalog
        if catalog.job(self.job).status != "running":
            return
        self.close()
        if (self._store.journals / str(self.job)).exists():  # a full disk kept them from being sealed before
            recover(self._store, self.job)
        whole = ended.status in ("done", "diverged")
        change: dict[str, Any] = {"status": ended.status, "step": self._last}
        if ended.diverged is not None:
            change |= {"diverged_at": ended.diverged[0], "diverged_what": ended.diverged[1]}
        change |= {"steps": self._last if whole else max(self._run.steps, self._last)}
        change |= {"finished_at": datetime.now(UTC), "seconds": ended.seconds, "finals": dict(ended.finals)}
        catalog.update_runs([{"id": self._run.id, **change}])
        error = None
        if ended.what:
            error = {"title": "The run failed", "message": ended.what, "remedy": "Its rows are kept."}
        statuses: dict[RunStatus, JobStatus] = {"failed": "failed", "stopped": "stopped"}
        rows = sum(row.rows for row in catalog.segments([self.job]))
        result = {"runs": 1, "rows": rows}
        catalog.finish_job(self.job, statuses.get(ended.status, "done"), error=error, result=result)

    def close(self) -> None:
        """Let go of the traces; another sink of the same job may go on.

        Raises:
            LabError: the disk is full; what was acknowledged is safe, and sealed later.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


def start(
    store: Store, study: str, arm: str, seed: int, steps: int, config: Mapping[str, Any], who: str = ""
) -> int:
    """Write down that a run begins, in the hands of this process, and return its job.

    Raises:
        LabError: a study's or arm's name that cannot be, or the store has a study of that name that the
            engine trained.
        ValueError: a seed that the catalogue cannot hold.
    """
    require_name(study, LIMITS)
    if not arm.strip() or not arm.isprintable() or len(arm) > LIMITS.name:
        raise LabError(
            "This can be no arm's name",
            f"`{arm[:60]}` must be of 1 to {LIMITS.name} printable characters.",
            "Choose another name.",
        )
    if seed >= 2**62:
        raise ValueError(f"`seed` must be less than 2**62; got {seed}.")
    catalog = store.catalog
    catalog.require_importable(study)
    if study not in {row.name for row in catalog.studies()}:
        catalog.save_study(study, study, "", {}, "client")
    spec = {"arm": arm, "seed": seed} | ({"who": who} if who else {})
    job = catalog.create_job("log", study, spec, me()).id
    store.machine.catalog.start_runs(job, study, [(arm, seed, dict(config))], steps, "elsewhere")
    return job


def take_up(store: Store, job: int) -> StoreSink:
    """Return a sink for a run that this process has, or that was stopped when its process went down.

    Raises:
        LabError: there is no such run, or it has ended by itself.
    """
    row = store.catalog.job(job)
    if row.kind != "log":
        raise LabError("Not a logged run", f"Job {job} is of the kind {row.kind}.", "Begin a run first.")
    if row.status != "running":
        if row.status != "stopped" or (row.result or {}) or not store.catalog.requeue_job(job, me()):
            raise LabError("The run has ended", f"Job {job} is {row.status}.", "Begin another run.")
        (run,) = store.catalog.job_runs(job)
        store.catalog.update_runs([{"id": run.id, "status": "running", "finished_at": None}])
    return StoreSink(store, job)
