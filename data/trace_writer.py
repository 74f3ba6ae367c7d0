"""Writes the traces of one job: acknowledged flush by flush, sealed as it grows, merged at the end."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.columns import Precision, schema
from data.durable import refusing
from data.journal import JournalWriter, read_journal
from data.recovery import (
    JobLock,
    last_seconds,
    merge_segments,
    seal_journal,
    seal_leftovers,
    written_steps,
)

if TYPE_CHECKING:
    from data.store import Store

_NEVER = np.iinfo(np.int64).min
_PATIENCE_S = 60.0


class TraceWriter:
    """The only writer of a job's traces; a second one for the same job is refused while this one lives.

    Args:
        store: the open store.
        job: the job whose runs are written.
        metrics: names of the metric columns.
        dtype: precision in which values are kept. A value beyond float32 becomes an infinity of its sign.
        seal_bytes: size of the journal, in bytes, past which it is sealed.
        retrace: whether rows that are there already are passed over instead of refused, as a training does
            that goes on from a checkpoint and so repeats the steps from there to its last acknowledged row.

    Raises:
        LabError: the job is unknown or another process is writing it.
        ValueError: metric names that are double or reserved.
    """

    def __init__(
        self,
        store: "Store",
        job: int,
        metrics: Sequence[str],
        dtype: Precision = "float32",
        seal_bytes: int = 64 << 20,
        retrace: bool = False,
    ) -> None:
        self._schema = schema(metrics, dtype)
        store.catalog.job(job)
        self._store = store
        self._job = job
        self._metrics = tuple(metrics)
        self._seal_bytes = seal_bytes
        self._journal: JournalWriter | None = None
        self._pending: list[pa.Table] = []
        # Who resumes a job may meet another process that is still sealing what the dead writer left.
        self._lock = JobLock(store.journals / str(job), _PATIENCE_S if retrace else 0.0)
        with ExitStack() as unless_ready:
            unless_ready.callback(self._lock.release)
            with refusing("A trace file", store.segments):
                seal_leftovers(store, job)
            sealed = store.catalog.segments([job])
            self._part = max((row.part for row in sealed), default=-1) + 1
            there = written_steps(store, sealed)
            self._last = {run: int(step.max()) for run, step in there.items()}
            self._there = {run: np.sort(step) for run, step in there.items()} if retrace else {}
            self.seconds = last_seconds(store, sealed)
            """Elapsed wall clock at the last row of earlier writers of this job; 0 without one."""
            unless_ready.pop_all()
        self.rows = sum(row.rows for row in sealed)
        """Rows acknowledged in total, those of earlier writers of this job included."""

    def write(
        self,
        runs: npt.ArrayLike,
        step: npt.ArrayLike,
        epoch: npt.ArrayLike,
        seconds: npt.ArrayLike,
        columns: Mapping[str, npt.ArrayLike],
    ) -> None:
        """Take rows; they are acknowledged by the next `flush`.

        Args:
            runs: [rows] ids of runs.
            step: [rows] optimizer steps done.
            epoch: [rows] passes over the data set, with fractions.
            seconds: [rows] elapsed wall clock of the job.
            columns: metric name to [rows] values. Metrics that are not named are NULL, and so are the masked
                values of a masked array; NaN and infinities are values like others.

        Raises:
            ValueError: lengths that differ, a metric that was not announced, ids or steps that are not whole
                numbers, or a (run, step) that was written before: all metrics of a step go in one row. A
                writer that retraces passes over rows of earlier writers and refuses its own.
        """
        ids, steps = _whole("runs", runs), _whole("step", step)
        unknown = set(columns) - set(self._metrics)
        if unknown:
            raise ValueError(f"`columns` must be among {list(self._metrics)}; got {sorted(unknown)}.")
        given = {"epoch": epoch, "seconds": seconds, **columns}
        arrays = {"run": pa.array(ids.astype(np.int32)), "step": pa.array(steps)}
        for field in self._schema:
            if field.name in given:
                arrays[field.name] = _values(given[field.name], field.type)
            elif field.name not in arrays:
                arrays[field.name] = pa.nulls(len(ids), field.type)
        lengths = {name: len(array) for name, array in arrays.items()}
        if set(lengths.values()) != {len(ids)}:
            raise ValueError(f"All columns must have as many rows as `runs`; got {lengths}.")
        table = pa.table([arrays[name] for name in self._schema.names], schema=self._schema)
        if self._there:
            new = self._new(ids, steps)
            ids, steps, table = ids[new], steps[new], table.filter(pa.array(new))
        self._refuse_doubles(ids, steps)
        if len(ids):
            self._pending.append(table)

    def _new(self, ids: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which rows earlier writers have not written."""
        new = np.ones(len(ids), dtype=bool)
        for run in self._there.keys() & set(ids.tolist()):
            there, mine = self._there[run], ids == run
            place = np.searchsorted(there, steps[mine])
            new[mine] = there[np.minimum(place, len(there) - 1)] != steps[mine]
            if steps[mine].min() > there[-1]:
                del self._there[run]  # it is past what was acknowledged
        return new

    def _refuse_doubles(self, ids: npt.NDArray[np.int64], steps: npt.NDArray[np.int64]) -> None:
        order = np.lexsort((steps, ids))
        same = (np.diff(ids[order]) == 0) & (np.diff(steps[order]) == 0)
        if same.any():
            at = order[int(same.argmax())]
            raise _double(ids[at], steps[at])
        runs, inverse = np.unique(ids, return_inverse=True)
        last = np.array([self._last.get(run, _NEVER) for run in runs.tolist()], dtype=np.int64)
        late = np.flatnonzero(steps <= last[inverse])
        if late.size:  # out of order is allowed, twice is not: look the rows up
            known = self._written(ids[late])
            for at in late:
                if steps[at] in known.get(int(ids[at]), ()):
                    raise _double(ids[at], steps[at])
        highest = last.copy()
        np.maximum.at(highest, inverse, steps)
        self._last.update(zip(runs.tolist(), highest.tolist(), strict=True))

    def _written(self, ids: npt.NDArray[np.int64]) -> dict[int, set[int]]:
        """Return the steps that were written for these runs: sealed, in the journal or waiting."""
        wanted = set(ids.tolist())
        found: dict[int, set[int]] = {run: set() for run in wanted}
        for run, step in written_steps(self._store, self._store.catalog.segments([self._job])).items():
            if run in wanted:
                found[run].update(step.tolist())
        live = [] if self._journal is None else [read_journal(self._journal.path)]
        for table in [*live, *self._pending]:
            for run, at in zip(table["run"].to_pylist(), table["step"].to_pylist(), strict=True):
                if run in wanted:
                    found[run].add(at)
        return found

    def flush(self) -> int:
        """Put what was written on the disk as one batch, and return the rows acknowledged in total.

        Raises:
            LabError: the disk is full. Rows of earlier flushes are safe; those of this one wait for the next.
        """
        if self._pending:
            table = pa.concat_tables(self._pending).combine_chunks()
            if self._journal is None:
                folder = self._lock.folder
                self._journal = JournalWriter(folder / f"{self._part}.arrows", self._schema)
            for batch in table.to_batches():
                self._journal.append(batch)
            self.rows += table.num_rows
            self._pending.clear()
            if self._journal.bytes >= self._seal_bytes:
                self._seal()
        return self.rows

    def _seal(self) -> None:
        if self._journal is not None:
            seal_journal(self._store, self._job, self._part, self._journal.path)
            self._journal.close()
            self._journal = None
            self._part += 1

    def close(self) -> None:
        """Flush, seal and merge the job's segments into one; nothing of the job is left in the journals.

        Raises:
            LabError: the disk is full. What was acknowledged stays in the journal; `recover` seals it later.
        """
        if self._lock.released:
            return
        try:
            with refusing("A trace file", self._store.segments):
                self.flush()
                self._seal()
                merge_segments(self._store, self._job)
                self._lock.remove()
        finally:
            if self._journal is not None:
                self._journal.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _whole(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"`{name}` must be whole numbers [rows]; got {array.dtype} of shape {array.shape}.")
    return array.astype(np.int64)


def _values(values: npt.ArrayLike, kind: pa.DataType) -> pa.Array:
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    with np.errstate(over="ignore"):
        array = np.asarray(values).astype(kind.to_pandas_dtype())
    if array.ndim != 1:
        raise ValueError(f"Every column must be of shape [rows]; got {array.shape}.")
    return pa.array(array, mask=mask, from_pandas=False)


def _double(run: int, step: int) -> ValueError:
    return ValueError(f"Run {run}, step {step} was written before; write all metrics of a step in one row.")
