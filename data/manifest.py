"""What a backup says of itself: its files with their hashes, and of which catalogue."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from data.durable import put_in_place, refused
from data.errors import LabError
from data.store import CATALOG

MARK = "backup.lock"
"""The file that marks a folder as a backup's; who writes there holds its lock."""

_MARKED = (
    "A backup of Detour. Look into it with --store, but change nothing: it could not be restored then.\n"
)
_BLOCK = 1 << 20


class Differs(Exception):  # noqa: N818 - it becomes a part of an error's message
    """A file is not what was written, or cannot be read."""


class File(NamedTuple):
    """A file of a backup: its first `bytes` bytes have this SHA-256."""

    sha256: str
    bytes: int


class Manifest(NamedTuple):
    """What a backup holds.

    Attributes:
        made_at: when the moment was that it shows.
        revision: of its catalogue.
        jobs: number and creation of its jobs, by which a lab is told from another.
        stopped: jobs that ran or waited at that moment; here they are stopped.
        damaged: what of the store could not be read, and so is not in the backup.
        files: by path, the catalogue included.
    """

    made_at: datetime
    revision: str
    jobs: list[list[Any]]
    stopped: list[int]
    damaged: list[str]
    files: dict[str, File]

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def manifest_path(backup: Path, catalogue: File) -> Path:
    """Return where the manifest is that belongs to a catalogue: so the two count together."""
    return backup / f"backup-{catalogue.sha256[:16]}.json"


def write_manifest(backup: Path, manifest: Manifest) -> Path:
    """Write a manifest, which counts once its catalogue does, and return its path.

    Raises:
        LabError: the disk is full.
    """
    path = manifest_path(backup, manifest.files[CATALOG])
    aside = path.with_name(f".{path.name}.tmp")
    try:
        text = json.dumps(manifest._asdict() | {"made_at": manifest.made_at.isoformat()})
        aside.write_text(text, encoding="utf-8")
        put_in_place(aside, path)
    except OSError as error:
        raise refused(error, "A backup", path) from error
    finally:
        aside.unlink(missing_ok=True)
    return path


def read_manifest(backup: Path) -> Manifest:
    """Return what a backup holds, as it says itself; only its catalogue is held to its hash here.

    Raises:
        LabError: there is no whole backup, or its catalogue is not what was written.
    """
    begun = (backup / MARK).exists()
    if not begun or not (backup / CATALOG).exists():
        raise LabError(
            "The backup is not whole" if begun else "This is no backup",
            f"`{backup}` {'was begun and never finished' if begun else 'holds none'}.",
            "Make it again into the same folder." if begun else "Name the folder that `backup` wrote.",
        )
    found = measured(backup / CATALOG)
    path = manifest_path(backup, found)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        files = {name: File(*each) for name, each in told.pop("files").items()}
        manifest = Manifest(made_at=datetime.fromisoformat(told.pop("made_at")), files=files, **told)
    except FileNotFoundError as error:
        raise LabError(
            "The backup's catalogue is not what was written",
            f"`{backup / CATALOG}` was damaged, or the backup was used as a store and changed since.",
            "Restore another backup. If it was changed on purpose, back it up in turn and restore that.",
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(path) from error
    if manifest.files.get(CATALOG) != found:
        raise _damaged(path)
    return manifest


def _damaged(path: Path) -> LabError:
    return LabError(
        "The backup is damaged",
        f"`{path}` cannot be read, or is of another one.",
        "Restore another backup, or make this one again into an empty folder.",
    )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder where there is none, mark it as a backup's, and shut out others who would write it.

    Raises:
        LabError: another process is at it, or the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / MARK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise refused(error, "A backup", folder) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(
                "Another process is at it", f"It writes `{folder}`.", "Wait until it ends, and try again."
            ) from error
        if os.fstat(handle).st_size == 0:
            os.write(handle, _MARKED.encode())
        yield
    finally:
        os.close(handle)


def copy_file(source: Path, target: Path, expected: str | None = None, length: int | None = None) -> File:
    """Copy a file aside, hold it to its hash and give it its name, durably.

    Args:
        source: that may lose its name meanwhile.
        target: that may be there; it is replaced then.
        expected: SHA-256, where one is known.
        length: bytes to copy; None for all.

    Raises:
        FileNotFoundError: there is no source.
        Differs: it is not what was expected, or cannot be read.
        LabError: the disk is full.
    """
    aside = target.with_name(f"{target.name}.tmp")
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as old:
        try:
            with aside.open("wb") as new:
                while block := _block(old, _BLOCK if length is None else min(_BLOCK, length - size)):
                    digest.update(block)
                    size += len(block)
                    new.write(block)
            if expected not in (None, digest.hexdigest()):
                raise Differs("its content is not what was written")
            put_in_place(aside, target)
        except OSError as error:
            raise refused(error, "A copy", target) from error
        finally:
            aside.unlink(missing_ok=True)
    return File(digest.hexdigest(), size)


def _block(file: Any, size: int) -> bytes:
    try:
        content: bytes = file.read(size)
    except OSError as error:
        raise Differs(f"it cannot be read ({error.strerror})") from error
    return content


def measured(path: Path) -> File:
    """Return the hash and size of a file.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    with path.open("rb") as file:
        return File(hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size)


def require_apart(store: Path, backup: Path) -> None:
    """Refuse a store and a backup of which one lies within the other.

    Raises:
        LabError: it does.
    """
    if store.is_relative_to(backup) or backup.is_relative_to(store):
        raise LabError(
            "A backup and its store lie apart",
            f"`{store}` and `{backup}` are the same or one within the other.",
            "Name a folder elsewhere, best on another disk.",
        )


def require_space(folder: Path, needed: int) -> None:
    """Refuse what would fill the disk: a live store may be on it.

    Raises:
        LabError: fewer than `needed` bytes are free.
    """
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    if needed > free:
        raise LabError(
            "The disk is full",
            f"{needed:,} bytes are needed; `{folder}` has {free:,} free. Nothing was copied.",
            "Free some space, or name a folder on a larger disk.",
        )
