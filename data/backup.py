"""A store copied while jobs write it and others read it; the copy is a store itself."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from sqlalchemy import insert, select, update

from data import migrations, tables
from data.catalog import Catalog
from data.durable import put_in_place, refused, sync_file
from data.errors import LabError
from data.journal import read_journal
from data.manifest import (
    MARK,
    Differs,
    File,
    Manifest,
    alone,
    copy_file,
    measured,
    read_manifest,
    require_apart,
    require_space,
    write_manifest,
)
from data.recovery import job_journals
from data.rows import AnalysisRow
from data.sealing import seal_table
from data.store import CATALOG, FOLDERS, Store
from data.upgrading import require_unused

_TRIES = 50
_STOPPED = {
    "title": "The job had not ended when the store was backed up",
    "message": "Every row that it had acknowledged then is here.",
    "remedy": "A training goes on with `python -m engine resume`; start another job again.",
}

_Tail = tuple[int, int, pa.Table]


class BackedUp(NamedTuple):
    """A backup as it is now, and how many files and bytes were copied to bring it there."""

    root: Path
    manifest: Manifest
    copied: int
    copied_bytes: int


class _Vanished(Exception):  # noqa: N818 - no error: what took the file's place is in the catalogue
    pass


def back_up(store: Store, target: Path) -> BackedUp:
    """Copy a store as of one moment.

    Every row acknowledged before the call is in the backup, whose catalogue is a SQLite file whatever the
    store's is. Live journals are sealed there and jobs that run are stopped there, so that it is a store at
    rest. Into a backup of the same store only what it lacks is copied; it stands until the new one is whole.

    Args:
        store: the open store.
        target: a folder that is missing, empty, or holds a backup of this store.

    Raises:
        LabError: `target` is something else or in use, the disk is full, or whoever acts is no administrator.
    """
    store.catalog.person.require("admin")
    target = target.expanduser().resolve()
    require_apart(store.root.resolve(), target)
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / MARK).exists())):
        raise LabError(
            "This is no place for a backup",
            f"`{target}` holds something else than a backup.",
            "Name a new folder, or that of an earlier backup.",
        )
    with alone(target):
        before: dict[str, File] = {}
        if (target / CATALOG).exists():
            former = read_manifest(target)
            _require_same(store, former)
            require_unused(target / CATALOG)
            before = former.files
        return _Backup(store.machine, target, before).make()


def _require_same(store: Store, manifest: Manifest) -> None:
    """Hold a backup to be of this store: one job at least is the same."""
    mine = {(job.id, job.created_at.isoformat()) for job in store.catalog.jobs()}
    if manifest.jobs and not mine & {(id, at) for id, at in manifest.jobs}:
        raise LabError(
            "This is the backup of another store",
            f"None of its jobs is in `{store.root}`; what it holds would be replaced.",
            "Name a folder of its own for each store.",
        )


class _Backup:
    """One backup being made.

    Args:
        store: that is copied.
        target: where to.
        before: files of the backup that is there.
    """

    def __init__(self, store: Store, target: Path, before: dict[str, File]) -> None:
        self.store, self.target, self.before = store, target, before
        self.copied: dict[str, File] = {}
        self.missing: set[str] = set()
        self.damaged: list[str] = []

    def make(self) -> BackedUp:
        """Try with newer and newer snapshots: each finds more of its files here already."""
        aside = self.target / f".{CATALOG}.tmp"
        try:
            for _ in range(_TRIES):
                try:
                    manifest = self._attempt(aside)
                except _Vanished:
                    continue
                self._let_count(aside, manifest)
                copied = sum(file.bytes for file in self.copied.values())
                return BackedUp(self.target, manifest, len(self.copied), copied)
        finally:
            _forget(aside)
        raise LabError(
            "The store changes too fast to be backed up",
            f"Files were replaced {_TRIES} times while they were being copied.",
            "Try again in a moment.",
        )

    def _attempt(self, aside: Path) -> Manifest:
        self.damaged.clear()
        try:
            for folder in FOLDERS:
                (self.target / folder).mkdir(exist_ok=True)
        except OSError as error:
            raise refused(error, "A backup", self.target) from error
        _forget(aside)
        # Journals first, the catalogue after: a part that was sealed in between counts as a file there.
        tails = list(self._tails())
        with closing(Catalog(aside)) as copy:
            copy.migrate()
            made_at = copy_rows(self.store.catalog, copy)
            stopped = _stop_jobs(copy, made_at)
            files = {**self._named(copy), **self._analyses(copy), **self._logs(copy)}
            files |= self._seal(copy, tails)
            jobs = [[job.id, job.created_at.isoformat()] for job in copy.jobs()]
        sync_file(aside)
        files[CATALOG] = measured(aside)
        return Manifest(made_at, migrations.HEAD, jobs, stopped, list(self.damaged), files)

    def _tails(self) -> Iterator[_Tail]:
        """Give job, part and the whole batches of every live journal, mapped."""
        for folder in sorted(self.store.journals.iterdir()):
            for part, path in job_journals(folder):
                try:
                    table = read_journal(path)
                except FileNotFoundError:
                    continue  # sealed since it was listed
                except LabError as error:
                    self.damaged.append(f"journals/{folder.name}/{path.name}: {error.message}")
                    continue
                if folder.name.isdecimal() and table.num_rows:
                    yield int(folder.name), part, table

    def _named(self, copy: Catalog) -> dict[str, File]:
        """Copy files that never change, the youngest first: they are the ones that vanish."""
        named: dict[str, File] = {}
        with copy.reading() as connection:
            rows = [
                row
                for table in (tables.segments, tables.checkpoints)
                for row in connection.execute(
                    select(table.c.created_at, table.c.path, table.c.sha256, table.c.bytes)
                )
            ]
        for row in sorted(rows, reverse=True):
            named.setdefault(row.path, File(row.sha256, row.bytes))
        for path in sorted(self.store.networks.glob("*.safetensors")):
            named[f"networks/{path.name}"] = File(path.stem, path.stat().st_size)
        lacking = [file.bytes for path, file in named.items() if not self._there(path, file)]
        require_space(self.target, sum(lacking))
        return {
            path: file
            for path, file in named.items()
            if self._there(path, file) or self._copy(path, path, file.sha256)
        }

    def _analyses(self, copy: Catalog) -> dict[str, File]:
        """Copy results; one that was computed again gets another name, as the former backup has its own."""
        files = {}
        for row in copy.analyses():
            try:
                found = measured(self.store.root / row.path)
            except OSError as error:
                self._lacking(row.path, error)
                continue
            plain = Path(row.path)
            other = plain.with_name(f"{plain.stem}-{found.sha256[:16]}{plain.suffix}").as_posix()
            name = row.path if self.before.get(row.path, found) == found else other
            known = self.before.get(name) or self.copied.get(name)
            if (known == found and self._there(name, found)) or self._copy(row.path, name, found.sha256):
                files[name] = found
                _rename(copy, row, name)
        return files

    def _logs(self, copy: Catalog) -> dict[str, File]:
        """Copy what jobs said. A log only grows: its first bytes are still what the former backup has."""
        files = {}
        for job in copy.jobs():
            path = f"logs/{job.id}.log"
            source = self.store.root / path
            if source.exists():
                found = measured(source)
                if found != self.before.get(path) or not self._there(path, found):
                    self.copied[path] = found = copy_file(source, self.target / path)
                files[path] = found
        return files

    def _there(self, path: str, file: File) -> bool:
        try:
            return (self.target / path).stat().st_size == file.bytes
        except FileNotFoundError:
            return False

    def _copy(self, path: str, name: str, sha256: str) -> bool:
        """Copy a file of the store to a name in the backup, unless it is damaged."""
        try:
            self.copied[name] = copy_file(self.store.root / path, self.target / name, sha256)
        except Differs as error:
            self.damaged.append(f"{path}: {error}")
            return False
        except FileNotFoundError as error:
            self._lacking(path, error)
            return False
        return True

    def _lacking(self, path: str, error: OSError) -> None:
        """Ask for a newer snapshot because of a file that is not there; note it the second time."""
        if isinstance(error, FileNotFoundError) and path not in self.missing:
            self.missing.add(path)
            raise _Vanished from error
        self.damaged.append(f"{path}: {error.strerror}")

    def _seal(self, copy: Catalog, tails: list[_Tail]) -> dict[str, File]:
        """Turn the rows of live journals into sealed files of the backup."""
        jobs = {job.id for job in copy.jobs()}
        parts = {row.job: row.part for row in copy.segments(jobs)}  # ordered by part: the last one stays
        files = {}
        for job, part, table in tails:
            if job in jobs and part > parts.get(job, -1):
                sealed = seal_table(self.target / "traces", job, part, table)
                copy.replace_segments(job, [], sealed)
                files[sealed["path"]] = File(sealed["sha256"], sealed["bytes"])
        return files

    def _let_count(self, aside: Path, manifest: Manifest) -> None:
        """Let the new catalogue take the former's place, and clear away what only the former named."""
        path = write_manifest(self.target, manifest)
        try:
            put_in_place(aside, self.target / CATALOG)
        except OSError as error:
            raise refused(error, "The catalogue of a backup", self.target / CATALOG) from error
        wanted = {*manifest.files, path.name, MARK}
        for folder in (self.target, *(self.target / name for name in FOLDERS)):
            for found in folder.iterdir():
                if found.is_file() and found.relative_to(self.target).as_posix() not in wanted:
                    found.unlink()


def copy_rows(source: Catalog, copy: Catalog) -> datetime:
    """Copy all rows as of one moment, whatever database they are in, and return the moment."""
    with source.reading() as reading, copy.writing("machine") as writing:
        made_at = datetime.now(UTC)
        for table in tables.metadata.sorted_tables:
            for part in reading.execute(select(table)).mappings().partitions(1000):
                writing.execute(insert(table), [dict(row) for row in part])
    return made_at


def _stop_jobs(copy: Catalog, moment: datetime) -> list[int]:
    """Mark jobs stopped that run or wait, so that no copy of a lab starts work by itself; return them."""
    jobs, runs = tables.jobs, tables.runs
    going = jobs.c.status.in_(["queued", "running"])
    ended = {"status": "stopped", "finished_at": moment, "error": _STOPPED}
    with copy.writing("machine") as connection:
        statement = update(jobs).where(going).values(ended).returning(jobs.c.id)
        stopped = sorted(connection.execute(statement).scalars())
        unfinished = runs.c.job.in_(stopped) & runs.c.status.in_(["queued", "running"])
        connection.execute(update(runs).where(unfinished).values(status="stopped", finished_at=moment))
    return stopped


def _rename(copy: Catalog, row: AnalysisRow, name: str) -> None:
    if name != row.path:
        table = tables.analyses
        with copy.writing("machine") as connection:
            connection.execute(update(table).where(table.c.id == row.id).values(path=name))


def _forget(aside: Path) -> None:
    for path in (aside, Path(f"{aside}-wal"), Path(f"{aside}-shm")):
        path.unlink(missing_ok=True)
