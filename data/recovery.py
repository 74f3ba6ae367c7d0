"""What happens to a job's journals: sealed in order by one process at a time, also after a crash."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import numpy.typing as npt

from data.checkpoints import clear_leftovers
from data.columns import literal
from data.durable import refused, refusing, sync_folder
from data.errors import LabError
from data.journal import read_journal
from data.rows import SegmentRow
from data.sealing import TABLE, merge_files, seal_table

if TYPE_CHECKING:
    from data.store import Store


class JobLock:
    """The right to write one job's traces, given back by the operating system when the process dies.

    Args:
        folder: the job's journals.
        patience: how long to wait for another, in seconds.

    Raises:
        LabError: another writer has it, or the disk is full or refuses.
    """

    def __init__(self, folder: Path, patience: float = 0.0) -> None:
        self.folder = folder
        path = folder / "lock"
        end = time.monotonic() + patience
        while True:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            except FileNotFoundError:
                continue  # the former writer removed the folder between the two lines
            except OSError as error:
                raise refused(error, "The traces of a job", path) from error
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(self._handle)
                if time.monotonic() < end:
                    time.sleep(0.02)
                    continue
                raise LabError(
                    "The job is being written",
                    f"Another process is writing the traces of job {folder.name}.",
                    "Wait until it ends, or stop it first.",
                ) from error
            if path.exists() and os.fstat(self._handle).st_ino == path.stat().st_ino:
                break
            os.close(self._handle)  # locked a file that the former writer has just removed
        self.released = False

    def release(self) -> None:
        """Give the right back and leave the journals where they are."""
        if not self.released:
            os.close(self._handle)
            self.released = True

    def remove(self) -> None:
        """Give the right back and remove the folder, which holds no journal any more."""
        (self.folder / "lock").unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something else lies there: leave it
            self.folder.rmdir()
        self.release()


def job_journals(folder: Path) -> list[tuple[int, Path]]:
    """Return (part, path) of the journals in a job's folder, in the order in which they were begun."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    parts = (name.removesuffix(".arrows") for name in names if name.endswith(".arrows"))
    return sorted((int(part), folder / f"{part}.arrows") for part in parts if part.isdecimal())


def seal_journal(store: "Store", job: int, part: int, path: Path) -> None:
    """Let a sealed file count in place of a journal; from that commit on, readers drop the journal."""
    table = read_journal(path)
    if table.num_rows:
        store.catalog.replace_segments(job, [], seal_table(store.segments, job, part, table))
    path.unlink()
    sync_folder(path.parent)


def seal_leftovers(store: "Store", job: int) -> None:
    """Finish what a dead writer of this job began; the caller holds the job's lock."""
    clear_leftovers(store, job)
    counted = store.catalog.segments([job])
    names = {Path(row.path).name for row in counted}
    for path in store.segments.glob(f"{job}-*"):
        if path.name not in names:  # half a file, one that never came to count, or one that was merged away
            _remove(path)
    sealed = max((row.part for row in counted), default=-1)
    for part, path in job_journals(store.journals / str(job)):
        if part <= sealed:
            path.unlink()
        else:
            seal_journal(store, job, part, path)


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            inner.unlink()
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def merge_segments(store: "Store", job: int) -> None:
    """Let one sealed file count in place of a job's several; the caller holds the job's lock.

    The merged file takes the highest part: a journal of that part or a lower one is then known to be sealed.
    """
    old = store.catalog.segments([job])
    if len(old) < 2:
        return
    files = [store.root / row.path for row in old]
    new = merge_files(store.segments, job, old[-1].part, files)
    store.catalog.replace_segments(job, [row.id for row in old], new)
    for file in files:
        file.unlink(missing_ok=True)


def recover(store: "Store", job: int) -> int:
    """Seal what a dead job left, merge it, remove its half-made files, and return the rows of the job.

    Harmless for a job that ended well. Every acknowledged row is kept; a batch that was torn is cut.

    Raises:
        LabError: the job is unknown, it is still being written, or the disk is full or refuses.
    """
    store.catalog.job(job)
    lock = JobLock(store.journals / str(job))
    try:
        with refusing("A trace file", store.segments):
            seal_leftovers(store, job)
            merge_segments(store, job)
            lock.remove()
    finally:
        lock.release()
    return sum(row.rows for row in store.catalog.segments([job]))


def last_seconds(store: "Store", segments: Iterable[SegmentRow]) -> float:
    """Return the largest elapsed wall clock, in seconds, in these segments; 0 where there is none."""
    found = [_asked(store, segment, 'max("seconds") AS last')["last"] for segment in segments]
    return max((float(one[0]) for one in found if not np.ma.is_masked(one)), default=0.0)


def _asked(store: "Store", segment: SegmentRow, what: str) -> Any:
    connection = duckdb.connect()
    try:
        connection.execute(f"ATTACH {literal(str(store.root / segment.path))} AS old (READ_ONLY)")
        return connection.execute(f"SELECT {what} FROM old.{TABLE}").fetchnumpy()
    finally:
        connection.close()


def written_steps(store: "Store", segments: Iterable[SegmentRow]) -> dict[int, npt.NDArray[np.int64]]:
    """Return the sealed steps of every run in these segments."""
    found: dict[int, list[npt.NDArray[np.int64]]] = {}
    for segment in segments:
        rows = _asked(store, segment, "run, step")
        cuts = np.flatnonzero(np.diff(rows["run"])) + 1
        for run, steps in zip(np.split(rows["run"], cuts), np.split(rows["step"], cuts), strict=True):
            found.setdefault(int(run[0]), []).append(steps)
    return {run: np.concatenate(steps) for run, steps in found.items()}
