"""Which log files there are in what was given, each by its name and a path that is safe to read."""

import hashlib
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from data.errors import LabError
from data.importers import LogFile
from data.importing.archives import ArchiveError, Budget, unpack
from data.importing.limits import Limits

_numbers = count()


class Given(NamedTuple):
    """A file or folder that somebody gave, and what it is called."""

    name: str
    path: Path


class Skipped(NamedTuple):
    """What is not taken: its name, why, and what would help."""

    name: str
    why: str
    remedy: str = ""


@dataclass
class Gathered:
    """The files, in the order of their names, and what lay between them."""

    files: list[LogFile] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def gather(given: Sequence[Given], folder: Path, limits: Limits) -> Gathered:
    """Find the files in what was given; archives are unpacked into `folder`, others linked from there.

    A name that leads out of its archive, a link, a device, an encrypted entry or an archive past a limit is
    skipped with the reason, and what lies beside it is taken.

    Args:
        given: files and folders; links below a folder are not followed.
        folder: an existing empty folder for this import alone.
        limits: of size, number and nesting.

    Raises:
        LabError: something given is not there, cannot be read, or is too large; there are too many files.
    """
    found = Gathered()
    budget = Budget(limits)
    seen: set[Path] = set()
    for one in given:
        for file in _walk(one, folder, found, limits):
            real = file.path.resolve()
            if real in seen:
                found.skipped.append(Skipped(file.name, "it was given twice"))
                continue
            seen.add(real)
            budget.entry(file.name)
            found.files += _opened(file, folder, found, budget, 0)
    found.files = [LogFile(_shown(file.name), file.path) for file in found.files]
    found.skipped = [one._replace(name=_shown(one.name)) for one in found.skipped]
    found.files.sort(key=lambda file: _natural(file.name))
    return found


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(one: Given, folder: Path, found: Gathered, limits: Limits) -> Iterator[LogFile]:
    if not one.path.exists():
        raise LabError(
            "There is no such file", f"`{one.path}` does not exist.", "Name another file or folder."
        )
    if not one.path.is_dir():
        if not one.path.is_file():
            found.skipped.append(Skipped(one.name, "it is neither a file nor a folder"))
        elif file := _linked(one, folder, found, limits):
            yield file
        return
    for root, folders, names in os.walk(one.path):
        hidden = [name for name in [*folders, *names] if _hidden(name)]
        folders[:] = sorted(name for name in folders if not _hidden(name))
        below = Path(root)
        within = below.relative_to(one.path)
        found.skipped += [Skipped(str(Path(one.name) / within / name), "it is hidden") for name in hidden]
        for name in sorted(set(names) - set(hidden)):
            path, called = below / name, (Path(one.name) / within / name).as_posix()
            if path.is_symlink() or not path.is_file():
                found.skipped.append(Skipped(called, "it is a link or no file", "Give the file itself."))
            elif file := _linked(Given(called, path), folder, found, limits):
                yield file
        for name in [name for name in folders if (below / name).is_symlink()]:
            found.skipped.append(
                Skipped(str(Path(one.name) / within / name), "it is a link", "Give the folder itself.")
            )


def _shown(name: str) -> str:
    """Return a name without what no page or catalogue can show: controls, bytes that are no text."""
    return "".join("\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs") else char for char in name)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def _linked(one: Given, folder: Path, found: Gathered, limits: Limits) -> LogFile | None:
    size = one.path.stat().st_size
    if size > limits.file_bytes:
        why = f"it has {size >> 20:,} MiB, and at most {limits.file_bytes >> 20:,} are taken"
        found.skipped.append(Skipped(one.name, why, "Split it, or log less often."))
        return None
    if not os.access(one.path, os.R_OK):
        found.skipped.append(Skipped(one.name, "there is no permission to read it"))
        return None
    # A link, so that the path that readers see holds no character of the user's.
    link = folder / f"given{next(_numbers):06d}"
    link.symlink_to(one.path.absolute())
    return LogFile(one.name, link)


def _opened(file: LogFile, folder: Path, found: Gathered, budget: Budget, depth: int) -> list[LogFile]:
    """Return the file itself, or the files in it where it is an archive."""
    inside: list[LogFile] = []
    try:
        entries = unpack(file, folder, budget, depth)
        if entries is None:
            return [file]
        for entry in entries:
            if isinstance(entry, LogFile):
                inside += _opened(entry, folder, found, budget, depth + 1)
            else:
                found.skipped.append(Skipped(*entry))
    except ArchiveError as error:  # of it nothing is taken: what came before would be half a log
        found.skipped.append(Skipped(file.name, error.why, error.remedy))
        return []
    return inside


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Sort "seed_10" after "seed_9"."""
    parts: list[str] = []
    for char in name:
        if parts and parts[-1][-1].isdecimal() == char.isdecimal():
            parts[-1] += char
        else:
            parts.append(char)
    return [(part[0].isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
