"""What a study holds at one moment: sealed files and live journals behind one SQL relation."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pandas as pd
import pyarrow as pa

from data.attachments import SHARED, Attached
from data.catalog import Catalog
from data.columns import KEYS, quoted
from data.errors import LabError
from data.journal import read_journal
from data.recovery import job_journals
from data.sealing import TABLE
from data.summaries import BLOCKS

_TRIES = 100


class Rows(NamedTuple):
    """Where rows lie: SQL name, types of columns by lower-case name, whether sealed, SQL name of blocks.

    The name of the blocks is that before their size.
    """

    name: str
    columns: dict[str, str]
    sealed: bool
    blocks: str | None


@dataclass(frozen=True)
class View:
    """A study's rows as of one moment, for one thread.

    Args:
        cursor: a connection with the relation `chosen` (run, arm, seed) of the runs that count.
        runs: those runs.
        metrics: metric columns that any file or journal has, in order of appearance.
        sources: the files and journals.
        described: asks for the metrics that the catalogue knows, measured yet or not.
    """

    cursor: duckdb.DuckDBPyConnection
    runs: tuple[tuple[int, str, int], ...]
    metrics: tuple[str, ...]
    sources: tuple[Rows, ...]
    described: Callable[[], list[str]]

    def select(self, sql: str, **parameters: Any) -> pa.Table:
        """Run a query and return its result as an Arrow table, where NULL and NaN stay different.

        Raises:
            LabError: a file is damaged, or memory or disk ran out.
        """
        with _explained():
            return self.cursor.sql(sql, params=parameters or None).to_arrow_table()

    def frame(self, sql: str, **parameters: Any) -> pd.DataFrame:
        """Run a query and return its result as a data frame, where NULL numbers become NaN.

        Raises:
            LabError: a file is damaged, or memory or disk ran out.
        """
        frame: pd.DataFrame = self.select(sql, **parameters).to_pandas()
        return frame

    def run(self, sql: str, **parameters: Any) -> None:
        """Run a statement that returns nothing, such as a temporary table of this cursor.

        Raises:
            LabError: a file is damaged, or memory or disk ran out.
        """
        with _explained():
            self.cursor.execute(sql, parameters or None)

    def require(self, metrics: Sequence[str]) -> None:
        """Hold every name to be a metric of the study.

        Raises:
            LabError: one is not; the error names those there are.
        """
        measured = {name.lower() for name in self.metrics}
        if all(name.lower() in measured for name in metrics):
            return
        known = [*self.metrics, *(name for name in self.described() if name.lower() not in measured)]
        unknown = [name for name in metrics if name.lower() not in {each.lower() for each in known}]
        if unknown:
            names = ", ".join(f"`{name}`" for name in known) or "none"
            wrong = ", ".join(f"`{name}`" for name in unknown)
            raise LabError(
                "Unknown metric",
                f"The study has no metric {wrong}; it has: {names}.",
                "Choose one of these.",
            )

    def rows(self, metrics: Sequence[str]) -> str:
        """Return SQL for run, step, epoch, seconds and these metrics, of the chosen runs; gaps are NULL.

        Files that have none of the metrics are not read.

        Raises:
            LabError: a metric that the study does not have.
        """
        self.require(metrics)
        parts = []
        for name, columns, *_ in self.sources:
            if metrics and not any(metric.lower() in columns for metric in metrics):
                continue
            values = [
                f"{quoted(metric) if metric.lower() in columns else 'NULL::FLOAT'} AS {quoted(metric)}"
                for metric in metrics
            ]
            keys = [quoted(key) for key in KEYS]
            parts.append(f"SELECT {', '.join([*keys, *values])} FROM {name}")
        if not parts:
            empty = [f"NULL::FLOAT AS {quoted(metric)}" for metric in metrics]
            keys = ["0 AS run", "0::BIGINT AS step", "NULL::DOUBLE AS epoch", 'NULL::DOUBLE AS "seconds"']
            parts = [f"SELECT {', '.join([*keys, *empty])} WHERE false"]
        union = " UNION ALL BY NAME ".join(parts)
        return f"(SELECT * FROM ({union}) WHERE run IN (SELECT run FROM chosen))"


def between(column: str, first: float | None, last: float | None) -> tuple[str, dict[str, Any]]:
    """Return SQL and its parameters that keep `column` from `first` to `last`, ends included."""
    ends = {"first": (">=", first), "last": ("<=", last)}
    given = {name: (sign, end) for name, (sign, end) in ends.items() if end is not None}
    sql = " AND ".join(f"{column} {sign} ${name}" for name, (sign, _) in given.items())
    return sql or "true", {name: end for name, (_, end) in given.items()}


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise LabError(
            "The traces could not be read",
            f"{type(error).__name__}: {error}",
            "Try again with fewer runs or metrics; if it stays so, check the files of the store.",
        ) from error


@contextmanager
def open_view(
    root: Path,
    catalog: Catalog,
    study: str,
    arms: Collection[str] | None = None,
    seeds: Collection[int] | None = None,
) -> Iterator[View]:
    """Give the current runs of a study (of these arms and seeds) with every row acknowledged before the call.

    Journals are listed and opened first, the catalogue is read after: a part that was sealed in between is
    dropped as a journal because it counts as a file. A file that a merge took away between the two means
    that the catalogue has a newer answer, so it is asked again.

    Raises:
        LabError: the study is unknown, or a file that counts is missing or damaged.
    """
    missing: set[str] = set()
    for _ in range(_TRIES):
        jobs = catalog.study_jobs(study)
        if not jobs:
            catalog.study(study)
        journals = [
            (job, part, table)
            for job in sorted(jobs)
            for part, path in job_journals(root / "journals" / str(job))
            if (table := _open(path)) is not None
        ]
        snapshot = catalog.snapshot(study)
        segments = [row for row in snapshot.segments if row.job in jobs]
        sealed = {row.job: row.part for row in sorted(segments, key=lambda row: row.part)}
        live = [table for job, part, table in journals if part > sealed.get(job, -1)]
        with ExitStack() as stack:
            try:
                reading = SHARED.reading([root / row.path for row in segments])
                cursor, files = stack.enter_context(reading)
            except FileNotFoundError as error:
                if str(error) in missing:
                    raise LabError(
                        "A trace file is missing",
                        f"`{error}` counts for study `{study}` but is not there.",
                        "Restore it from a backup, or delete the runs whose rows it held.",
                    ) from error
                missing.add(str(error))
                continue
            runs = tuple(
                run
                for run in snapshot.runs
                if (arms is None or run[1] in arms) and (seeds is None or run[2] in seeds)
            )
            yield _view(cursor, files, live, runs, lambda: [row.name for row in catalog.metrics(study)])
            return
    raise LabError(
        "The store changes too fast to be read",
        f"The files of study `{study}` were replaced {_TRIES} times while they were being opened.",
        "Try again in a moment.",
    )


def _view(
    cursor: duckdb.DuckDBPyConnection,
    files: list[Attached],
    live: list[pa.Table],
    runs: tuple[tuple[int, str, int], ...],
    described: Callable[[], list[str]],
) -> View:
    sources = [
        Rows(f"{file.name}.{TABLE}", file.columns, True, f"{file.name}.{BLOCKS}" if file.summed else None)
        for file in files
    ]
    for place, table in enumerate(live):
        cursor.register(f"journal{place}", table)
        sources.append(Rows(f"journal{place}", dict.fromkeys(table.schema.names, ""), False, None))
    chosen = pa.table(
        {
            "run": pa.array([run for run, _, _ in runs], pa.int32()),
            "arm": pa.array([arm for _, arm, _ in runs], pa.string()),
            "seed": pa.array([seed for _, _, seed in runs], pa.int64()),
        }
    )
    cursor.register("chosen", chosen)
    metrics: dict[str, str] = {}
    for _, columns, *_ in sources:
        for name in columns:
            if name not in KEYS:
                metrics.setdefault(name.lower(), name)
    lowered = tuple(
        source._replace(columns={name.lower(): kind for name, kind in source.columns.items()})
        for source in sources
    )
    return View(cursor, runs, tuple(metrics.values()), lowered, described)


_mapped: OrderedDict[tuple[str, int, int, int], pa.Table] = OrderedDict()
_mapped_lock = threading.Lock()


def _open(path: Path) -> pa.Table | None:
    """Return a journal's rows; None when it has none or is gone. The last 64 are remembered."""
    try:
        status = path.stat()
        key = (str(path), status.st_ino, status.st_size, status.st_mtime_ns)
        with _mapped_lock:
            table = _mapped.get(key)
        if table is None:
            table = read_journal(path)
    except FileNotFoundError:
        return None
    with _mapped_lock:
        for old in [each for each in _mapped if each[0] == key[0] and each != key]:
            del _mapped[old]
        _mapped[key] = table
        while len(_mapped) > 64:
            _mapped.popitem(last=False)
    return table if table.num_rows else None


def version(root: Path, catalog: Catalog, study: str) -> str:
    """Return a text that changes whenever a row of the study, or the set of runs that count, changes.

    Costs a listing of the live journals and one small transaction; no row is read.
    """
    live: list[tuple[int, int, int, int]] = []
    for folder in (root / "journals").iterdir():
        for part, path in job_journals(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # sealed since the listing; the catalogue, read below, has it
            live.append((int(folder.name), part, status.st_ino, status.st_size))
    snapshot = catalog.snapshot(study)
    if not snapshot.jobs:
        catalog.study(study)
    own = sorted(each for each in live if each[0] in snapshot.jobs)
    state = repr((own, snapshot.runs, snapshot.segments))
    return hashlib.blake2b(state.encode(), digest_size=8).hexdigest()
