"""Files that survive a crash: written aside, fsynced, renamed; and what to say when the disk refuses."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data.errors import LabError


def sync_file(path: Path) -> None:
    """Wait until the content of a file is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    sync_file(folder)


def put_in_place(aside: Path, path: Path) -> None:
    """Give a finished file its name: it appears whole or not at all, and stays."""
    sync_file(aside)
    aside.replace(path)
    sync_folder(path.parent)


@contextmanager
def refusing(what: str, path: Path) -> Iterator[None]:
    """Turn what the disk refuses in a block into words: see `refused`."""
    try:
        yield
    except OSError as error:
        raise refused(error, what, path) from error


def refused(error: Exception, what: str, path: Path) -> LabError:
    """Say that the disk refused to write `what` at `path`, and how to mend it."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    if full or any(word in text.lower() for word in ("no space", "file too large", "quota", "disk full")):
        return LabError(
            "The disk is full",
            f"{what} could not be written at `{path}` ({text}). Rows acknowledged before are safe.",
            "Free some space or move the store to a larger disk, then try again.",
        )
    return LabError(
        "A file could not be written",
        f"{what} could not be written at `{path}` ({text}). Rows acknowledged before are safe.",
        "Check that the folder exists and may be written, then try again.",
    )
