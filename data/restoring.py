"""A store made again from a backup: whole under its name, or not there."""

import shutil
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from data import migrations
from data.durable import refused, sync_folder
from data.errors import LabError
from data.manifest import (
    MARK,
    Differs,
    Manifest,
    alone,
    copy_file,
    read_manifest,
    require_apart,
    require_space,
)
from data.recovery import JobLock
from data.settings import settings
from data.store import CATALOG, FOLDERS, catalogue_file, open_store
from data.upgrading import require_unused


class Restored(NamedTuple):
    """A store made from a backup; `former` is where the one lies that it replaced."""

    root: Path
    manifest: Manifest
    former: Path | None


def restore(backup: Path, target: Path, replace: bool = False) -> Restored:
    """Make a store from a backup: every file is copied and held to its hash, then the folder gets its name.

    Where the configuration names a database, the catalogue goes there.

    Args:
        backup: folder of the backup.
        target: a folder that is missing or empty.
        replace: let the store take the place of one that no process has open; that one is kept beside it.

    Raises:
        LabError: `backup` is none, is damaged or was changed; `target` is something else or in use; the disk
            is full; the database refuses. Nothing is changed then.
    """
    backup, target = backup.expanduser().resolve(), target.expanduser().resolve()
    require_apart(target, backup)
    manifest = read_manifest(backup)
    if manifest.revision not in migrations.KNOWN:
        raise LabError(
            "The backup was made by a newer version",
            f"It has revision `{manifest.revision}`; this version reads up to `{migrations.HEAD}`.",
            "Update Detour and restore it again.",
        )
    there = target.exists() and (not target.is_dir() or any(target.iterdir()))
    if there:
        _require_replaceable(target, replace)
    aside = target.with_name(f".{target.name}.restoring")
    with alone(aside), ExitStack() as unless_done:
        unless_done.callback(shutil.rmtree, aside, ignore_errors=True)
        try:
            _clear(aside)
            _copy(backup, manifest, aside)
            if url := settings().catalogue:
                from data.moving import move_to_database  # an extra, as its driver is

                unless_done.callback(move_to_database(aside, url).drop)
            former = _put_aside(target) if there else None
            if former is not None:
                unless_done.callback(former.rename, target)
            aside.rename(target)
            unless_done.pop_all()
            (target / MARK).unlink()
            sync_folder(target.parent)
        except OSError as error:
            raise refused(error, "A restored store", target) from error
    return Restored(target, manifest, former)


def _clear(aside: Path) -> None:
    """Remove what a killed restore left."""
    for left in aside.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != MARK:
            left.unlink()


def _copy(backup: Path, manifest: Manifest, aside: Path) -> None:
    require_space(aside, manifest.bytes)
    for folder in FOLDERS:
        (aside / folder).mkdir()
    wrong = []
    for path, file in sorted(manifest.files.items(), key=lambda item: item[0] == CATALOG):
        try:
            copy_file(backup / path, aside / path, file.sha256, file.bytes)
        except FileNotFoundError:
            wrong.append(f"`{path}`: it is missing")
        except Differs as error:
            wrong.append(f"`{path}`: {error}")
    if wrong:
        more = f" and {len(wrong) - 5:,} more" if len(wrong) > 5 else ""
        raise LabError(
            "The backup is damaged",
            f"In `{backup}`: {'; '.join(wrong[:5])}{more}. Nothing was changed.",
            "Restore another backup. Where the store is still there, remove these files and back up again.",
        )


def _require_replaceable(target: Path, replace: bool) -> None:
    path = catalogue_file(target)
    if not replace or path is None:
        raise LabError(
            "There is something already",
            f"`{target}` is {'no empty folder' if path is None else 'a store'}.",
            "Name another folder" + ("." if path is None else ", or give --replace: it is kept aside."),
        )
    busy = []
    try:
        with closing(open_store(target)) as store:
            busy = [job.id for job in store.catalog.jobs() if job.status == "running"]
    except LabError:
        sound = False  # which is why it is replaced; who writes its traces is known by locks
    else:
        sound = True
    for lock in (target / "journals").glob("*/lock"):
        try:
            JobLock(lock.parent).release()
        except LabError:
            busy.append(int(lock.parent.name))
    if busy:
        raise LabError(
            "A job is using the store",
            f"Job {busy[0]} writes to `{target}`.",
            "Stop it first, with `python -m engine cancel`.",
        )
    if sound and path.name == CATALOG:  # who else has a database open is not known
        require_unused(path)


def _put_aside(target: Path) -> Path:
    former = target.with_name(f"{target.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
    target.rename(former)
    return former
