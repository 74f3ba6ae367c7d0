"""Holds a store's files to its catalogue: what is missing, changed, or belongs to nothing."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb
from safetensors import SafetensorError, safe_open

from data.columns import literal
from data.errors import LabError
from data.journal import read_journal
from data.recovery import job_journals
from data.sealing import TABLE
from data.store import Store

SETTLED_S = 24 * 3600.0
"""Seconds after which a file that belongs to nothing is nobody's who still works."""


class Finding(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        kind: "damaged" where data are lost, "orphan" where a file is of no use.
        path: of the file, relative to the store.
        what: is wrong.
        remedy: what to do.
    """

    kind: str
    path: str
    what: str
    remedy: str


def check(store: Store) -> list[Finding]:
    """Return all that is wrong; every file is read once, and nothing is changed.

    Files that appear or vanish while jobs work are not taken for wrong: of orphans only settled ones count,
    and what is missing is looked up in the catalogue once more.
    """
    found = [
        *_catalogue(store),
        *_sealed(store),
        *_named_by_hash(store),
        *_analyses(store),
        *_journals(store),
    ]
    return [*found, *orphans(store)]


def clear(store: Store, findings: list[Finding], settled_s: float = SETTLED_S) -> int:
    """Remove the orphans among the findings that are settled still, and return how many bytes that freed."""
    freed = 0
    for one in findings:
        path = store.root / one.path
        if one.kind == "orphan" and _settled(path, settled_s):
            freed += remove(path)
    return freed


def remove(path: Path) -> int:
    """Remove a file or a folder with all that is in it, and return how many bytes that freed."""
    if not path.is_dir() or path.is_symlink():
        try:
            size = path.lstat().st_size
        except FileNotFoundError:
            return 0
        path.unlink(missing_ok=True)
        return size
    freed = sum(remove(inner) for inner in path.iterdir())
    path.rmdir()
    return freed


def _catalogue(store: Store) -> Iterator[Finding]:
    for what in store.catalog.faults():
        yield Finding("damaged", store.catalog.path.name, what, "Restore a backup.")


def _sealed(store: Store) -> Iterator[Finding]:
    runs = {run.id for run in store.catalog.runs(current=False, archived=True)}
    runs |= {run.id for run in store.catalog.deleted_runs()}
    jobs = [job.id for job in store.catalog.jobs()]
    for row in store.catalog.segments(jobs):
        path = store.root / row.path
        what = _differs(path, row.sha256)
        if what is None:
            strangers = runs_of(path) - runs
            if strangers:
                what = f"it holds rows of runs that are not in the catalogue: {sorted(strangers)[:5]}"
        if what is not None and row in store.catalog.segments([row.job]):  # else merged away meanwhile
            yield Finding(
                "damaged", row.path, what, "Restore it from a backup, or delete the runs whose rows it held."
            )


def runs_of(path: Path) -> set[int]:
    """Return the runs of which a sealed file has rows."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {literal(str(path))} AS old (READ_ONLY)")
        return {run for (run,) in connection.execute(f"SELECT DISTINCT run FROM old.{TABLE}").fetchall()}


def _differs(path: Path, sha256: str) -> str | None:
    """Return how a file differs from what was written, None where it does not."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None if found == sha256 else "its content is not what was written"


def _named_by_hash(store: Store) -> Iterator[Finding]:
    """Look at checkpoints and uploaded networks."""
    for job in store.catalog.jobs():
        for row in [
            *store.catalog.checkpoints(job.id, "state"),
            *store.catalog.checkpoints(job.id, "weights"),
        ]:
            what = _differs(store.root / row.path, row.sha256)
            if what is not None and row in store.catalog.checkpoints(job.id, row.kind):
                yield Finding(
                    "damaged", row.path, what, f"Restore it, or train again; job {job.id} goes on before it."
                )
    for path in sorted(store.networks.glob("*.safetensors")):
        what = _differs(path, path.stem)
        if what is not None:
            yield Finding("damaged", f"networks/{path.name}", what, "Upload the network again.")


def _analyses(store: Store) -> Iterator[Finding]:
    for row in store.catalog.analyses():
        path = store.root / row.path
        try:
            with safe_open(path, "numpy") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            yield Finding("damaged", row.path, f"it cannot be read ({error})", "Compute the analysis again.")


def _journals(store: Store) -> Iterator[Finding]:
    jobs = {job.id for job in store.catalog.jobs()}
    for folder in sorted(store.journals.iterdir()):
        for _, path in job_journals(folder):
            name = f"journals/{folder.name}/{path.name}"
            if not folder.name.isdecimal() or int(folder.name) not in jobs:
                yield Finding(
                    "damaged", name, "it is of a job that is not in the catalogue", "Restore a backup."
                )
                continue
            try:
                read_journal(path)
            except FileNotFoundError:
                continue  # sealed meanwhile
            except LabError as error:
                yield Finding("damaged", name, error.message, error.remedy)


def orphans(store: Store, settled_s: float = SETTLED_S) -> list[Finding]:
    """Return files that nothing in the catalogue names and nobody has touched for `settled_s` seconds."""
    jobs = {job.id for job in store.catalog.jobs()}
    named = {row.path for row in store.catalog.segments(jobs)}
    named |= {row.path for row in store.catalog.analyses()}
    for job in jobs:
        named |= {row.path for row in store.catalog.checkpoints(job)}
    left = list(store.root.glob(".catalog*"))
    for folder in (store.segments, store.checkpoints, store.analyses):
        left += [path for path in sorted(folder.iterdir()) if f"{folder.name}/{path.name}" not in named]
    left += [path for path in sorted(store.networks.iterdir()) if path.suffix != ".safetensors"]
    left += [
        path
        for path in sorted(store.logs.glob("*.log"))
        if path.stem.isdecimal() and int(path.stem) not in jobs
    ]
    return [
        Finding(
            "orphan",
            path.relative_to(store.root).as_posix(),
            "nothing in the catalogue names it",
            "Clear it away with --clear.",
        )
        for path in left
        if _settled(path, settled_s)
    ]


def _settled(path: Path, settled_s: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime > settled_s
    except FileNotFoundError:
        return False
