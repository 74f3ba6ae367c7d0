"""A small disk of its own for a lab, which can be full, or refuse every write as a broken one does."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Literal

import psutil

_MIB = 1 << 20
_SIZE = 640 * _MIB

Kind = Literal["ext4", "tmpfs", "folder"]


def _do(*words: object) -> bool:
    return subprocess.run([str(word) for word in words], capture_output=True, check=False).returncode == 0


class Disk:
    """Where a lab lies: an ext4 in a file, else a tmpfs, else a plain folder, by what this user may mount.

    Args:
        folder: that this makes, and in which it keeps what it needs.
        kind: the best that is wanted.
    """

    def __init__(self, folder: Path, kind: Kind = "ext4") -> None:
        self.root = folder / "disk"
        self._image, self._filler = folder / "image", self.root / "filler"
        self.root.mkdir(parents=True)
        self.kind: Kind = "folder"
        if kind == "ext4":
            with self._image.open("wb") as image:
                image.truncate(_SIZE)
            if _do("mkfs.ext4", "-q", "-m", "0", self._image) and self._mount():
                self.kind = "ext4"
        tmpfs = ("mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", self.root)
        if kind != "folder" and self.kind == "folder" and _do(*tmpfs):
            self.kind = "tmpfs"

    def _mount(self) -> bool:
        return _do("mount", "-o", "loop", self._image, self.root)

    def fill(self, left: int) -> None:
        """Leave `left` bytes of the disk free."""
        free = psutil.disk_usage(str(self.root)).free
        with self._filler.open("wb", buffering=0) as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, max(1, free - 4 * _MIB))
            file.seek(0, os.SEEK_END)
            while True:
                file.write(bytes(4096))
        os.truncate(self._filler, max(0, self._filler.stat().st_size - left))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)

    def break_down(self) -> None:
        """Refuse every write from now on, to files that are open too: as ext4 does that met an error."""
        assert self.kind == "ext4"
        assert _do("mount", "-o", "remount,abort", self.root)

    def lock(self, locked: bool) -> None:
        """Refuse writes, or take them again, while nobody has a file open."""
        if self.kind == "folder":
            for path in [self.root, *self.root.rglob("*")]:
                path.chmod(path.stat().st_mode & ~0o222 if locked else path.stat().st_mode | 0o200)
        else:
            assert _do("mount", "-o", f"remount,{'ro' if locked else 'rw'}", self.root)

    def mend(self) -> None:
        """Check a broken disk and mount it again, while nobody has a file open: what was synced is there."""
        assert _do("umount", self.root), "a process has a file of the disk open"
        # Of a copy: another mount namespace may hold the broken one still, and would be mounted once more.
        former, self._image = self._image, self._image.with_name(f"{self._image.name}+")
        assert _do("cp", "--sparse=always", former, self._image)
        former.unlink()
        subprocess.run(["e2fsck", "-fy", self._image], capture_output=True, check=False)
        assert self._mount()

    def remove(self) -> None:
        """Remove it with all that is on it."""
        if self.kind != "folder":
            _do("umount", "-l", self.root)
        shutil.rmtree(self.root.parent, ignore_errors=True)

    @property
    def may_be_locked(self) -> bool:
        """Whether `lock` holds: nothing in a plain folder is closed to root."""
        return self.kind != "folder" or os.getuid() != 0
