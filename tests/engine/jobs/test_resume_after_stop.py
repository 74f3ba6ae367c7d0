"""A training that was stopped or interrupted ends as one that never was."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.store import Store, open_store
from engine.jobs import queue, train
from engine.jobs.worker import me
from tests.engine.jobs.resuming import TINY, begin, finished, go_on


def test_the_tiny_study_has_runs_of_every_end(uninterrupted: dict[str, Any]) -> None:
    """Else the tests below would prove less than they say."""
    ends = {
        (arm, status, converged is not None) for arm, _, status, *_, converged, _ in uninterrupted["runs"]
    }
    assert {status for _, status, _ in ends} == {"done", "diverged"}
    assert {converged for _, status, converged in ends if status == "done"} == {True, False}
    assert len({steps for _, _, _, _, steps, *_ in uninterrupted["runs"]}) == 2
    assert {step for step, _, _ in uninterrupted["weights"]} >= {0, 8, 10, 11, 16, 24, 26}
    assert uninterrupted["states"] == []


@pytest.mark.parametrize("how", ["stop", pytest.param("interrupt", marks=pytest.mark.slow)])
def test_stopped_again_and_again_it_ends_the_same(
    how: str, store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    chance, attempts = random.Random(how), 0
    while True:
        calls = iter(range(chance.randrange(3, 9)))

        def progress(step: int, calls: Iterator[int] = calls) -> bool:
            if next(calls, None) is not None:
                return False
            if how == "interrupt":
                raise KeyboardInterrupt
            return True

        status = go_on(store, id, progress)
        if status == "done":
            break
        attempts += 1
        assert status == "stopped"
        assert attempts < 40
        unfinished = [row for row in store.catalog.runs("tiny") if row.status == "stopped"]
        assert unfinished
        assert all(row.finished_at is not None for row in unfinished)
        if how == "stop":
            assert store.catalog.checkpoints(id, "state")
        queue.requeue(store, id, me())
        assert store.catalog.job(id).finished_at is None
    assert attempts > 3
    assert finished(store) == uninterrupted
    assert store.catalog.job(id).spec["resumed"] == attempts
    assert len((store.logs / f"{id}.log").read_text().splitlines()) == attempts


def test_a_stop_saves_the_state_of_every_stack_and_keeps_the_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    store.catalog.amend_spec(id, checkpoint_seconds=1e9)
    assert go_on(store, id, lambda step: step >= 12) == "stopped"
    saved = {row.stack: row.step for row in store.catalog.checkpoints(id, "state")}
    steps = {row.arm: row.step for row in store.catalog.runs("tiny") if row.status == "stopped"}
    assert {"SS", "RR"} <= steps.keys()
    for stack, arm in enumerate(("SS", "RR", "wild")):
        assert arm not in steps or 0 < saved[stack] <= steps[arm] <= saved[stack] + 4
    seconds = store.traces.frame("tiny", ["batch_loss"])["seconds"].max()
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    frame = store.traces.frame("tiny", ["batch_loss"])
    before = frame["step"] <= frame["arm"].map(steps)
    assert frame.loc[before & frame["arm"].isin(list(steps)), "seconds"].max() <= seconds
    assert frame.loc[frame["step"] > 20, "seconds"].min() > seconds
    for _, run in frame.groupby("run"):
        assert (np.diff(run["seconds"]) >= 0).all()


def test_seeds_stay_split_as_they_were_begun(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another split may give other last digits, so it is kept with the job."""
    monkeypatch.setattr(train, "choose_at_once", lambda *_: 1)
    whole = open_store(tmp_path / "whole", create=True)
    assert go_on(whole, begin(whole, TINY, monkeypatch), lambda step: False) == "done"
    id = begin(store, TINY, monkeypatch)
    assert go_on(store, id, lambda step: step >= 30) == "stopped"
    assert len({row.stack for row in store.catalog.checkpoints(id, "state")}) > 3
    monkeypatch.setattr(train, "choose_at_once", lambda *_: 99)
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    assert finished(store) == finished(whole)
    whole.close()
