"""Really removes what was deleted long enough ago, and what nobody needs any more, beside running jobs."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection, Table, delete, exists, insert, or_, select

from data import checkpoints, tables
from data.arrays import to_bytes
from data.durable import put_in_place, refused, sync_file
from data.errors import LabError
from data.importing.intake import ABANDONED_S
from data.integrity import SETTLED_S, clear, orphans, remove, runs_of
from data.recovery import JobLock, seal_leftovers
from data.rows import CheckpointRow
from data.sealing import merge_files
from data.store import Store
from data.upgrading import formers

_ENDED = ("done", "failed", "stopped")
_TRACED = ("train", "log", "import_logs")


@dataclass
class Tidied:
    """What was removed, or would be.

    Attributes:
        runs: ids of runs, with their rows and weights.
        studies: names of studies, with all that was of them.
        states: states of trainings that ended.
        files: paths of what belonged to nothing, logs and uploads included.
        freed: bytes, less those of files that were written anew; 0 of a rehearsal.
        left: what could not be removed now, and why.
    """

    runs: list[int] = field(default_factory=list)
    studies: list[str] = field(default_factory=list)
    states: int = 0
    files: list[str] = field(default_factory=list)
    freed: int = 0
    left: list[str] = field(default_factory=list)


class _Changed(Exception):  # noqa: N818 - no error: it is looked at again the next time
    pass


def tidy(
    store: Store,
    undo: timedelta = timedelta(days=30),
    states: timedelta = timedelta(days=90),
    settled: timedelta = timedelta(seconds=SETTLED_S),
    abandoned: timedelta = timedelta(seconds=ABANDONED_S),
    dry_run: bool = False,
) -> Tidied:
    """Remove what is past its time; jobs and readers need not be stopped, and a kill does no harm.

    Gone for good are runs and studies deleted longer ago than `undo`; runs that do not count because a
    finished one of the same study, arm and seed has for longer than that; imports undone and notes, views and
    reports deleted before; the logs of trainings of which nothing is left; catalogues of before an upgrade.

    Args:
        store: the open store.
        undo: the time in which a deletion can be undone.
        states: the time for which a training that ended keeps the states it could go on from.
        settled: age from which a file that belongs to nothing is nobody's who still works.
        abandoned: age from which an upload that nobody imported is given up.
        dry_run: whether only to say what would be removed.

    Raises:
        LabError: whoever acts is no administrator, or the disk is full.
    """
    store.catalog.person.require("admin")
    now = datetime.now(UTC)
    work = _Tidying(store.machine, now - undo, dry_run)
    work.clear_states(now - states)
    work.clear_runs()
    work.clear_rows()
    work.clear_studies()
    work.clear_files(settled.total_seconds(), abandoned.total_seconds())
    return work.told


class _Tidying:
    """One tidying: what was deleted before `cutoff` goes."""

    def __init__(self, store: Store, cutoff: datetime, dry_run: bool) -> None:
        self.store, self.cutoff, self.dry_run = store, cutoff, dry_run
        self.told = Tidied()

    def clear_runs(self) -> None:
        with self.store.catalog.reading() as connection:
            removable = _removable(connection, self.cutoff)
        for job, runs in sorted(removable.items()):
            if self.dry_run:
                self.told.runs += sorted(runs)
                continue
            try:
                self._clear_job(job, runs)
            except _Changed:
                self.told.left.append(f"job {job}: its runs were changed meanwhile")
            except duckdb.Error as error:
                self.told.left.append(f"job {job}: {error}")
            except LabError as error:
                if error.title == "The disk is full":
                    raise
                self.told.left.append(f"job {job}: {error.message}")
            else:
                self.told.runs += sorted(runs)

    def _clear_job(self, job: int, runs: set[int]) -> None:
        """Let a job's files without these runs count in place of those with them, in one transaction."""
        store = self.store
        lock = JobLock(store.journals / str(job))
        try:
            seal_leftovers(store, job)
            with ExitStack() as unless_counted:
                old, new = self._segments(job, runs)
                if new is not None:
                    unless_counted.callback((store.root / new["path"]).unlink, missing_ok=True)
                whole, parts = self._weights(job, runs)
                asides = {self._aside(job, content): content for _, content in parts}
                for aside in asides:
                    unless_counted.callback(aside.unlink, missing_ok=True)
                with store.catalog.writing("machine") as connection:
                    if _removable(connection, self.cutoff).get(job, set()) != runs:
                        raise _Changed
                    for aside, content in asides.items():
                        put_in_place(aside, store.root / _checkpoint_path(content))
                    self._count(connection, job, runs, old, new, whole, parts)
                unless_counted.pop_all()
            self.told.freed -= (new["bytes"] if new else 0) + sum(map(len, asides.values()))
            self._discard([row["path"] for row in old])
            self._sweep([row.path for row in [*whole, *(row for row, _ in parts)]])
            lock.remove()
        except OSError as error:
            raise refused(error, "A tidied file", store.root) from error
        finally:
            lock.release()

    def _segments(self, job: int, runs: set[int]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Return the segments to be replaced, and the one in their place; None where no row is left."""
        rows = self.store.catalog.segments([job])
        files = [self.store.root / row.path for row in rows]
        found = set().union(*(runs_of(file) for file in files))
        if not found & runs:
            return [], None
        old = [{"id": row.id, "path": row.path} for row in rows]
        if not found - runs:
            return old, None
        return old, merge_files(self.store.segments, job, rows[-1].part, files, without=found & runs)

    def _weights(
        self, job: int, runs: set[int]
    ) -> tuple[list[CheckpointRow], list[tuple[CheckpointRow, bytes]]]:
        """Return the checkpoints to be dropped, and those to be replaced with their new content."""
        whole: list[CheckpointRow] = []
        parts: list[tuple[CheckpointRow, bytes]] = []
        with self.store.catalog.reading() as connection:
            of_job = select(tables.runs.c.id).where(tables.runs.c.job == job)
            others = set(connection.execute(of_job).scalars()) - runs
        for row in self.store.catalog.checkpoints(job):
            kept = [place for place, run in enumerate(row.runs) if run not in runs]
            if (row.kind == "state" and not others) or (row.kind == "weights" and not kept):
                whole.append(row)
            elif row.kind == "weights" and len(kept) < len(row.runs):
                tensors = checkpoints.load(self.store, row)
                parts.append((row, to_bytes({name: tensor[kept] for name, tensor in tensors.items()})))
        return whole, parts

    def _aside(self, job: int, content: bytes) -> Path:
        aside = self.store.checkpoints / f"{job}-{hashlib.sha256(content).hexdigest()[:16]}.tmp"
        aside.write_bytes(content)
        sync_file(aside)  # before the catalogue is locked
        return aside

    def _count(
        self,
        connection: Connection,
        job: int,
        runs: set[int],
        old: list[dict[str, Any]],
        new: dict[str, Any] | None,
        whole: list[CheckpointRow],
        parts: list[tuple[CheckpointRow, bytes]],
    ) -> None:
        now = datetime.now(UTC)
        _drop(connection, tables.segments, [row["id"] for row in old])
        if new is not None:
            connection.execute(insert(tables.segments).values(job=job, created_at=now, **new))
        _drop(connection, tables.checkpoints, [row.id for row in whole])
        for row, content in parts:
            values = {
                "runs": [run for run in row.runs if run not in runs],
                "path": _checkpoint_path(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
            }
            table = tables.checkpoints
            connection.execute(table.update().where(table.c.id == row.id).values(values))
        _drop(connection, tables.runs, runs)
        self.store.catalog.audit(connection, "clear runs", f"job {job}", runs=sorted(runs))

    def clear_rows(self) -> None:
        """Remove undone imports of which no run is left, and what people wrote and deleted."""
        if self.dry_run:
            return
        uploads, runs = tables.uploads, tables.runs
        with self.store.catalog.writing("machine") as connection:
            left = exists().where(runs.c.job == uploads.c.job)
            connection.execute(delete(uploads).where(uploads.c.undone_at < self.cutoff, ~left))
            for table in (tables.notes, tables.saved_views, tables.reports):
                connection.execute(delete(table).where(table.c.deleted_at < self.cutoff))

    def clear_studies(self) -> None:
        studies, runs, jobs, uploads = tables.studies, tables.runs, tables.jobs, tables.uploads
        of = exists().where(runs.c.study == studies.c.name)
        imported = exists().where(uploads.c.study == studies.c.name)
        busy = exists().where(jobs.c.study == studies.c.name, jobs.c.status.not_in(_ENDED))
        gone = studies.c.deleted_at < self.cutoff
        if not self.dry_run:  # in a rehearsal the runs are there still
            gone = (gone | ((studies.c.source == "upload") & ~imported)) & ~of
        query = select(studies.c.name).where(gone & ~busy).order_by(studies.c.name)
        with self.store.catalog.reading() as connection:
            names = list(connection.execute(query).scalars())
        for name in names:
            if not self.dry_run:
                with self.store.catalog.writing("machine") as connection:
                    if name not in connection.execute(query).scalars().all():
                        continue
                    paths = self._forget_study(connection, name)
                    self.store.catalog.audit(connection, "clear study", name)
                self._discard(paths)
            self.told.studies.append(name)

    def _forget_study(self, connection: Connection, name: str) -> list[str]:
        """Forget all rows of a study without runs, and return the files that they named."""
        jobs = tables.jobs
        analyses = select(tables.analyses.c.path).where(tables.analyses.c.study == name)
        paths = list(connection.execute(analyses).scalars())
        for table in reversed(tables.metadata.sorted_tables):
            if "study" in table.c and table is not jobs:
                connection.execute(delete(table).where(table.c.study == name))
        kept = [
            exists().where(table.c.job == jobs.c.id)
            for table in (tables.runs, tables.segments, tables.checkpoints, tables.uploads)
        ]
        mine = delete(jobs).where(jobs.c.study == name, ~or_(*kept)).returning(jobs.c.id)
        paths += [f"logs/{id}.log" for id in connection.execute(mine).scalars()]
        connection.execute(delete(tables.studies).where(tables.studies.c.name == name))
        return paths

    def clear_states(self, cutoff: datetime) -> None:
        table, jobs = tables.checkpoints, tables.jobs
        ended = select(jobs.c.id).where(jobs.c.status.in_(_ENDED), jobs.c.finished_at < cutoff)
        old = (table.c.kind == "state") & table.c.job.in_(ended)
        if self.dry_run:
            with self.store.catalog.reading() as connection:
                self.told.states = len(connection.execute(select(table.c.id).where(old)).all())
            return
        with self.store.catalog.writing("machine") as connection:
            paths = list(connection.execute(delete(table).where(old).returning(table.c.path)).scalars())
        self.told.states = len(paths)
        self._sweep(paths)

    def clear_files(self, settled_s: float, abandoned_s: float) -> None:
        store = self.store
        found = orphans(store, settled_s)
        others = [
            path for _, path in formers(store.catalog.path) if self._before(path, self.cutoff.timestamp())
        ]
        others += [path for path in store.uploads.iterdir() if self._before(path, time.time() - abandoned_s)]
        others += [store.logs / f"{job}.log" for job in self._spent() if (store.logs / f"{job}.log").exists()]
        self.told.files = [one.path for one in found] + [
            path.relative_to(store.root).as_posix() for path in others
        ]
        if not self.dry_run:
            self.told.freed += clear(store, found, settled_s) + sum(remove(path) for path in others)

    def _spent(self) -> list[int]:
        """Return the jobs that wrote runs, ended before the cutoff, and have none left."""
        jobs, runs = tables.jobs, tables.runs
        query = select(jobs.c.id).where(
            jobs.c.kind.in_(_TRACED),
            jobs.c.status.in_(_ENDED),
            jobs.c.finished_at < self.cutoff,
            ~exists().where(runs.c.job == jobs.c.id),
        )
        with self.store.catalog.reading() as connection:
            return list(connection.execute(query.order_by(jobs.c.id)).scalars())

    def _before(self, path: Path, moment: float) -> bool:
        try:
            return path.stat().st_mtime < moment
        except FileNotFoundError:
            return False

    def _discard(self, paths: Iterable[str]) -> None:
        self.told.freed += sum(remove(self.store.root / path) for path in paths)

    def _sweep(self, paths: Collection[str]) -> None:
        """Remove those of the checkpoints' files to which no row refers any more."""
        self.store.catalog.sweep_checkpoints(lambda: paths, lambda path: self._discard([path]))


def _removable(connection: Connection, cutoff: datetime) -> dict[int, set[int]]:
    """Return by job the runs whose time is over: deleted, or replaced by a finished one, before the cutoff.

    Jobs that are queued or running are left alone; of those that could go on, only what was deleted goes.
    """
    runs, jobs, kept = tables.runs, tables.jobs, tables.checkpoints
    query = select(
        runs.c.id, runs.c.study, runs.c.arm, runs.c.seed, runs.c.status, runs.c.deleted_at, runs.c.job,
        jobs.c.status.in_(_ENDED).label("ended"), jobs.c.finished_at,
    ).join(jobs, runs.c.job == jobs.c.id)  # fmt: skip
    gone: dict[int, set[int]] = defaultdict(set)
    attempts: dict[tuple[str, str, int], list[Any]] = defaultdict(list)
    for row in connection.execute(query.order_by(runs.c.id.desc())):
        if row.deleted_at is None:
            attempts[row.study, row.arm, row.seed].append(row)
        elif row.deleted_at < cutoff and row.ended:
            gone[row.job].add(row.id)
    resumable = set(connection.execute(select(kept.c.job).where(kept.c.kind == "state")).scalars())
    for group in attempts.values():
        counts = next((row for row in group if row.status in ("done", "diverged")), None)
        if counts is None or counts.finished_at is None or counts.finished_at >= cutoff:
            continue
        for row in group:
            if row.id < counts.id and row.ended and row.job not in resumable:
                gone[row.job].add(row.id)
    return dict(gone)


def _drop(connection: Connection, table: Table, ids: Collection[int]) -> None:
    numbers = sorted(ids)
    for start in range(0, len(numbers), 500):  # SQLite bounds the parameters of one statement
        connection.execute(delete(table).where(table.c.id.in_(numbers[start : start + 500])))


def _checkpoint_path(content: bytes) -> str:
    return f"checkpoints/{hashlib.sha256(content).hexdigest()}.safetensors"
