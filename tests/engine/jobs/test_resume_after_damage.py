"""A training whose states are damaged or whose disk was full ends as one that met neither."""

import errno
from pathlib import Path
from typing import Any

import pytest

from data import checkpoints
from data.errors import LabError
from data.store import Store
from engine.jobs import queue
from engine.jobs.worker import me
from tests.engine.jobs.resuming import TINY, begin, finished, go_on


@pytest.mark.parametrize("lost", ["newest", "all"])
def test_damaged_states_cost_time_only(
    lost: str, store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    assert go_on(store, id, lambda step: step >= 50) == "stopped"
    rows = store.catalog.checkpoints(id, "state")
    for row in rows:
        later = any(other.stack == row.stack and other.id > row.id for other in rows)
        if lost == "all" or not later:
            (store.root / row.path).write_bytes(b"damaged")
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    assert finished(store) == uninterrupted


@pytest.mark.parametrize("moment", [3, 6])
def test_a_full_disk_fails_the_training_and_leaves_it_resumable(
    moment: int, store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    left = [moment]

    def put_in_place(aside: Path, path: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        aside.replace(path)

    monkeypatch.setattr(checkpoints, "put_in_place", put_in_place)
    with pytest.raises(LabError, match="disk is full"):
        go_on(store, id, lambda step: False)
    job = store.catalog.job(id)
    assert (job.status, job.error and job.error["title"]) == ("failed", "The disk is full")
    assert {row.status for row in store.catalog.runs("tiny")} == {"failed"}
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    assert finished(store) == uninterrupted
