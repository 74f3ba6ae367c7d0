"""A user's own files: where they are, and whether they are the ones that were meant."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from data.errors import LabError

Stamp = tuple[tuple[Path, int, int], ...]
"""Files with their times of change and sizes, for caches that must notice a changed file."""


def user_path(path: str, what: str) -> Path:
    """Return the path that a setting names.

    Args:
        path: the setting `path`; ``~`` is the home folder, a relative path starts at the working directory.
        what: what is expected there, for the message.

    Raises:
        LabError: the setting is empty, or nothing is there.
    """
    if not path:
        raise LabError("No file named", f"This data set reads {what}.", "Name it: --set dataset.path=PATH.")
    found = Path(path).expanduser()
    if not found.exists():
        raise LabError("File not found", f"There is no `{path}`.", f"Name {what} with dataset.path.")
    return found


def stamp(files: Sequence[Path]) -> Stamp:
    """Return what changes when one of the files does."""
    return tuple((file, file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def checksum(files: Sequence[Path]) -> str:
    """Return the SHA-256 of one file; of several, that of their listing by ``sha256sum`` in this order."""
    digests = [(_digest(file, "sha256"), file.name) for file in files]
    if len(digests) == 1:
        return digests[0][0]
    return hashlib.sha256("".join(f"{digest}  {name}\n" for digest, name in digests).encode()).hexdigest()


def md5(file: Path) -> str:
    """Return the MD5 of a file, for comparison with a published one; it protects against no forgery."""
    return _digest(file, "md5")


def require_checksum(files: Sequence[Path], expected: str, note: str = "") -> None:
    """Refuse files that are not the ones expected.

    Args:
        files: one file, or several in the order of their listing.
        expected: SHA-256 in hexadecimal digits; empty for any.
        note: what else is known of them, for the message.

    Raises:
        LabError: another checksum; the message has both.
    """
    if not expected:
        return
    found = checksum(files)
    if found != expected.strip().lower():
        names = ", ".join(str(file) for file in files)
        raise LabError(
            "Not the expected data",
            f"The SHA-256 of {names} is {found}, but dataset.sha256 is {expected}.{note}",
            "Bring back the file that the study was made with, or set dataset.sha256 to this one's.",
        )


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
