"""Archives, unpacked under names of our own: nothing in them can lead out, and none can fill the disk."""

import bz2
import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from data.errors import LabError
from data.importers import LogFile
from data.importers.numpy_arrays import is_npz
from data.importing.limits import Limits

_CHUNK = 1 << 20
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)
_numbers = count()


class ArchiveError(Exception):
    """An archive of which nothing is taken: why, and what would help."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.why = why
        self.remedy = remedy


class Budget:
    """What is left of the limits of one import."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._entries = 0
        self._bytes = 0

    def entry(self, name: str) -> None:
        """Count a file.

        Raises:
            LabError: there are too many.
        """
        self._entries += 1
        if self._entries > self.limits.entries:
            raise LabError(
                "Too many files",
                f"There are more than {self.limits.entries:,} files; `{name}` is one too many.",
                "Import them in several parts, into the same study.",
            )

    def expanded(self, size: int, packed: int, total: int) -> None:
        """Count unpacked bytes of an archive of `packed` bytes that has unpacked to `total` by now.

        Raises:
            ArchiveError: it is far larger than it looks, or the disk would fill.
        """
        limits = self.limits
        self._bytes += size
        if total > limits.small_bytes and total > limits.ratio * packed:
            why = (
                f"it unpacks to over {limits.ratio} times its {packed:,} bytes, as a decompression bomb does"
            )
            raise ArchiveError(why, "Unpack it yourself if you trust it, and give the files.")
        if self._bytes > limits.expanded_bytes:
            why = f"what was given unpacks to more than {limits.expanded_bytes >> 30:,} GiB"
            raise ArchiveError(why, "Import it in several parts, into the same study.")


def unpack(
    file: LogFile, folder: Path, budget: Budget, depth: int
) -> Iterator[LogFile | tuple[str, str, str]] | None:
    """Unpack an archive, an entry at a time; None where the file is none.

    ZIP, TAR (plain, gzip, bzip2, xz) and a single file packed by gzip, bzip2 or xz are known by their first
    bytes. An array file of NumPy (``.npz``) is a ZIP and a log itself.

    Yields:
        The files, or of an entry that is not taken its name, why, and what would help.

    Raises:
        ArchiveError: it is damaged, nested too deep, or unpacks to more than is allowed.
    """
    kind = _kind(file)
    if kind is None:
        return None
    if depth >= budget.limits.nesting:
        raise ArchiveError(
            f"it is an archive within {depth} others", "Unpack the outer ones and give what is in them."
        )
    return _entries(file, kind, folder, budget)


def _kind(file: LogFile) -> str | None:
    head = file.head
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return None if is_npz(file.path) else "zip"
    if head[257:262] == b"ustar":
        return "tar"
    packed = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
    return next((kind for magic, kind in packed.items() if head.startswith(magic)), None)


def _entries(
    file: LogFile, kind: str, folder: Path, budget: Budget
) -> Iterator[LogFile | tuple[str, str, str]]:
    try:
        if kind == "zip":
            yield from _zip(file, folder, budget)
        elif kind == "tar" or _holds_tar(file, kind):
            yield from _tar(file, folder, budget)
        else:
            name = file.name.rpartition(".")[0] or file.name
            with _open_packed(file.path, kind) as stream:
                yield _take(name, stream, folder, budget, file, [0])
    except _DAMAGED as error:
        raise ArchiveError(
            f"it is a damaged {kind} archive ({error})", "Download or pack it again."
        ) from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile's words for encryption and odd methods
        raise ArchiveError(
            f"it cannot be unpacked ({error})", "Pack it again, without a password."
        ) from error


def _zip(file: LogFile, folder: Path, budget: Budget) -> Iterator[LogFile | tuple[str, str, str]]:
    total = [0]
    with zipfile.ZipFile(file.path) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            name = f"{file.name}/{entry.filename}"
            link = entry.external_attr >> 16 & 0o170000 == 0o120000
            if why := _refused(entry.filename, link, bool(entry.flag_bits & 1)):
                yield name, why, ""
                continue
            budget.entry(name)
            with archive.open(entry) as stream:
                yield _take(name, stream, folder, budget, file, total)


def _tar(file: LogFile, folder: Path, budget: Budget) -> Iterator[LogFile | tuple[str, str, str]]:
    total = [0]
    with tarfile.open(file.path) as archive:
        for entry in archive:
            if entry.isdir():
                continue
            name = f"{file.name}/{entry.name.removeprefix('./')}"
            if why := _refused(entry.name, not entry.isfile(), encrypted=False):
                yield name, why, ""
                continue
            budget.entry(name)
            stream = archive.extractfile(entry)
            if stream is not None:
                with stream:
                    yield _take(name, stream, folder, budget, file, total)


def _refused(name: str, link: bool, encrypted: bool) -> str:
    """Return why an entry is not taken, "" where it is."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]) or "\0" in name:
        return "its name leads out of the archive"
    if link:
        return "it is a link or a device"
    if encrypted:
        return "it is encrypted"
    if any((part.startswith(".") and part != ".") or part == "__MACOSX" for part in path.parts):
        return "it is hidden"
    return ""


def _take(
    name: str, stream: IO[bytes], folder: Path, budget: Budget, file: LogFile, total: list[int]
) -> LogFile:
    """Write an entry under a number, counting what it unpacks to while it does."""
    path = folder / f"unpacked{next(_numbers):06d}"
    with path.open("xb") as to:
        while chunk := stream.read(_CHUNK):
            total[0] += len(chunk)
            budget.expanded(len(chunk), file.size, total[0])
            to.write(chunk)
    return LogFile(name, path)


def _open_packed(path: Path, kind: str) -> IO[bytes]:
    opener: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return cast(IO[bytes], opener[kind](path))


def _holds_tar(file: LogFile, kind: str) -> bool:
    with _open_packed(file.path, kind) as stream:
        return stream.read(512)[257:262] == b"ustar"
