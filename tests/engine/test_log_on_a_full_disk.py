"""A run that logs itself while the disk is full: told so each time; in the end every row is there once."""

import errno
import os
from pathlib import Path

import pytest

from data import journal, sealing
from data.durable import put_in_place
from data.errors import LabError
from data.store import open_store
from engine.log import Run


class Full:
    """A disk that refuses while it is full."""

    def __init__(self) -> None:
        self.full = False

    def write(self, handle: int, content: memoryview) -> int:
        self._refuse()
        return os.write(handle, content)

    def put_in_place(self, aside: Path, path: Path) -> None:
        self._refuse()
        put_in_place(aside, path)

    def _refuse(self) -> None:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_rows_wait_until_there_is_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Full()
    monkeypatch.setattr(journal, "os", disk)
    monkeypatch.setattr(sealing, "put_in_place", disk.put_in_place)
    run = Run("mine", "A", 0, tmp_path / "lab", flush_seconds=1e9)
    for step in range(12):
        run.log(step, loss=step / 10)
        disk.full = step in (2, 3, 7)
        if disk.full:
            with pytest.raises(LabError, match="disk is full"):
                run.flush()
        else:
            run.flush()
    disk.full = True
    for _ in range(2):
        with pytest.raises(LabError, match="disk is full"):
            run.finish()
    disk.full = False
    run.finish()
    store = open_store(tmp_path / "lab")
    assert store.traces.frame("mine", ["loss"])["loss"].tolist() == [step / 10 for step in range(12)]
    (job,) = store.catalog.jobs()
    assert (job.status, job.result) == ("done", {"runs": 1, "rows": 12})
    assert len(store.catalog.segments([job.id])) == 1
    assert not list(store.journals.iterdir())


def test_a_disk_that_refuses_to_begin_is_told_in_words(tmp_path: Path) -> None:
    run = Run("mine", "A", 0, tmp_path / "lab", flush_seconds=1e9)
    run.log(0, loss=1.0)
    journals, aside = tmp_path / "lab" / "journals", tmp_path / "aside"
    journals.rename(aside)
    journals.touch()
    with pytest.raises(LabError, match="could not be written"):
        run.flush()
    journals.unlink()
    aside.rename(journals)
    run.finish()
    assert open_store(tmp_path / "lab").traces.count("mine") == 1
