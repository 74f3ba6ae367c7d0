import errno
import importlib
import os
import signal
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from data.errors import LabError
from data.store import Store
from data.traces import TraceWriter
from engine.jobs import worker
from engine.jobs.progress import Ending, Progress, duration
from engine.jobs.worker import Heartbeat, Stop, stop_on_signals, work

HANDLER = signal.getsignal(signal.SIGTERM)


def job_that(monkeypatch: pytest.MonkeyPatch, does: Any) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(run=does))


def start_two_runs(store: Store, id: int) -> list[int]:
    store.catalog.save_study("s", "S", "claim", {}, "engine")
    return store.catalog.start_runs(id, "s", [("A", 0, {}), ("A", 1, {})], steps=10, device="cpu")


def test_a_job_is_taken_run_and_written_down(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = store.catalog.create_job("fit", "s", {}).id
    seen = []

    def run(store: Store, job: int, progress: Progress) -> Ending:
        row = store.catalog.job(job)
        assert (row.status, row.pid, row.host) == ("running", os.getpid(), socket.gethostname())
        assert not progress(3, 3, "working")
        return Ending("done", {"rows": 7})

    job_that(monkeypatch, run)
    job = work(store, id, Stop(), lambda *shown: seen.append(shown))
    assert (job.status, job.result, job.step, job.steps) == ("done", {"rows": 7}, 3, 3)
    assert seen == [(3, 3, "working · 3 of 3 climbs")]


def test_a_job_is_taken_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = store.catalog.create_job("fit", "s", {}).id
    job_that(monkeypatch, lambda store, job, progress: Ending("done", {}))
    work(store, id, Stop())
    with pytest.raises(LabError, match="is done"):
        work(store, id, Stop())


@pytest.mark.parametrize(
    ("error", "title"),
    [
        (LabError("Odd", "It is.", "Mend it."), "Odd"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (RuntimeError("boom"), "The job failed unexpectedly"),
    ],
)
def test_a_failure_is_written_down_and_its_rows_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, title: str
) -> None:
    id = store.catalog.create_job("train", "s", {}).id

    def run(store: Store, job: int, progress: Progress) -> Ending:
        ids = start_two_runs(store, job)
        store.catalog.update_runs([{"id": ids[0], "status": "diverged"}])
        with TraceWriter(store, job, ["loss"], "float32") as writer:
            writer.write(ids, [0, 0], [0.0, 0.0], [0.1, 0.1], {"loss": [1.0, 2.0]})
            writer.flush()
            raise error

    job_that(monkeypatch, run)
    with pytest.raises((LabError, RuntimeError)):
        work(store, id, Stop())
    job = store.catalog.job(id)
    assert job.status == "failed"
    assert job.error is not None
    assert job.error["title"] == title
    assert [run.status for run in store.catalog.runs("s")] == ["diverged", "failed"]
    assert store.traces.count("s") == 2


def test_an_interrupted_job_is_stopped(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = store.catalog.create_job("train", "s", {}).id

    def run(store: Store, job: int, progress: Progress) -> Ending:
        start_two_runs(store, job)
        raise KeyboardInterrupt

    job_that(monkeypatch, run)
    with pytest.raises(KeyboardInterrupt):
        work(store, id, Stop())
    assert store.catalog.job(id).status == "stopped"
    assert {run.status for run in store.catalog.runs("s")} == {"stopped"}


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    with stop_on_signals() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == HANDLER


def test_a_heartbeat_is_written_at_most_once_a_second(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = store.catalog.create_job("train", "s", {}).id
    now = [100.0]
    monkeypatch.setattr(worker.time, "monotonic", lambda: now[0])
    written: list[int] = []
    beat = Heartbeat(store, id, "steps", Stop(), lambda step, steps, text: written.append(step))
    for step in range(0, 100):
        beat(step, 1000)
        now[0] += 0.125
    assert written == list(range(0, 100, 8))
    job = store.catalog.job(id)
    assert job.rate == pytest.approx(8)
    assert job.message == "96 of 1,000 steps · 8 steps/s · 1 min 53 s left"
    beat(1000, 1000)
    assert store.catalog.job(id).step == 1000


def test_a_request_to_stop_reaches_the_job(store: Store) -> None:
    id = store.catalog.create_job("train", "s", {}).id
    store.catalog.claim_job(id, os.getpid(), 0.0, "here")
    stop = Stop()
    assert not Heartbeat(store, id, "steps", stop)(1, 10)
    store.catalog.request_stop(id)
    assert Heartbeat(store, id, "steps", stop)(2, 10)
    stop.signal = signal.SIGINT
    other = store.catalog.create_job("train", "s", {}).id
    assert Heartbeat(store, other, "steps", stop)(2, 10)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (94, "1 min 34 s"), (3661, "1 h 1 min")],
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words
