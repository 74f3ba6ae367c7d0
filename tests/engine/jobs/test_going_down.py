"""What a restart does to a job: it goes back to the queue, and then on to the same bits."""

import importlib
import signal
import threading
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from data.people import Person
from data.store import Store
from engine.jobs import queue, worker
from engine.jobs.progress import Ending, Progress
from engine.jobs.request import request
from engine.jobs.worker import Stop, carry_out, me, work
from tests.engine.jobs.resuming import TINY, begin, finished
from tests.engine.jobs.test_queue import ENDED, forked, wait_for  # noqa: F401  # fixture

ADA = Person("ada@lab.example", "researcher")


def asked_after(steps: int, number: int, monkeypatch: pytest.MonkeyPatch) -> Stop:
    """Have this process asked to end once the job has told its progress so often."""
    stop = Stop()
    beat = worker.Heartbeat.__call__
    left = [steps]

    def count(self: worker.Heartbeat, step: int, steps: int, message: str = "") -> bool:
        left[0] -= 1
        if left[0] == 0:
            stop.signal = number
        return beat(self, step, steps, message)

    monkeypatch.setattr(worker.Heartbeat, "__call__", count)
    return stop


def test_restarted_again_and_again_a_training_ends_the_same(
    store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id, restarts = begin(store, TINY, monkeypatch), 0
    job = store.catalog.job(id)
    while True:
        with monkeypatch.context() as patch:
            stop = asked_after(4 + restarts, signal.SIGTERM, patch)
            job = carry_out(store, job, stop, put_back=True)
        if job.status == "done":
            break
        restarts += 1
        assert restarts < 40
        assert (job.status, job.host, job.gpu, job.error) == ("queued", None, None, None)
        states = {row.status for row in store.catalog.job_runs(id)}
        assert "queued" in states
        assert not states & {"running", "stopped"}
        assert store.catalog.claim_job(id, *me())
        job = store.catalog.job(id)
    assert restarts > 2
    assert finished(store) == uninterrupted


def job_that(monkeypatch: pytest.MonkeyPatch, does: Any) -> None:
    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(run=does))


def until_told(store: Store, job: int, progress: Progress) -> Ending:
    while not progress(1, 10):
        time.sleep(0.01)
    return Ending("stopped", {})


@pytest.mark.parametrize(
    ("number", "by_person", "status"),
    [
        (signal.SIGTERM, False, "queued"),
        (signal.SIGTERM, True, "stopped"),
        (signal.SIGINT, False, "stopped"),
    ],
)
def test_a_fit_begins_anew_after_a_restart_and_ends_where_somebody_stopped_it(
    number: int, by_person: bool, status: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = store.catalog.create_job("fit", "s", {}).id
    job_that(monkeypatch, until_told)
    stop = Stop()

    def show(*_: object) -> None:
        if by_person:
            store.catalog.request_stop(id)
        stop.signal = number

    job = work(store, id, stop, show)
    assert job.status == status
    assert job.error is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_interrupted_at_once_goes_back_too(
    number: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = store.catalog.create_job("fit", "s", {}).id
    stop = Stop()

    def run(*_: object) -> Ending:
        stop.signal = number
        raise KeyboardInterrupt

    job_that(monkeypatch, run)
    with pytest.raises(KeyboardInterrupt):
        work(store, id, stop)
    assert store.catalog.job(id).status == ("queued" if number == signal.SIGTERM else "stopped")


def test_a_job_is_stopped_when_its_time_is_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_LIMITS_HOURS", "0.00001")
    job_that(monkeypatch, until_told)
    id = store.acting_as(ADA).catalog.create_job("train", "s", {}).id
    job = work(store, id, Stop())
    assert job.status == "stopped"
    assert job.error is not None
    assert job.error["title"] == "The time is up"
    assert f"1e-05 hours, as long as a job of {ADA.name} may" in job.error["message"]
    assert "Resume it" in job.error["remedy"]
    assert "administrator" in job.error["remedy"]
    local, stop = store.catalog.create_job("train", "s", {}).id, Stop()
    threading.Timer(0.3, lambda: setattr(stop, "signal", signal.SIGINT)).start()
    assert work(store, local, stop).error is None


def test_the_end_of_a_job_starts_the_next_unless_the_machine_goes_down(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "process")
    monkeypatch.setenv("DETOUR_JOBS_AT_ONCE", "1")
    monkeypatch.setattr(queue.launching, "launch", lambda store, job, environment: started.append(job))
    job_that(monkeypatch, until_told)
    first = store.catalog.create_job("fit", "s", {}, me())
    second = queue.submit(store, "fit", "s", {})
    assert started == []
    stop = Stop()
    stop.signal = signal.SIGTERM
    assert carry_out(store, first, stop, put_back=True).status == "queued"
    assert started == []
    assert store.catalog.claim_job(first.id, *me())
    job_that(monkeypatch, lambda *_: Ending("done", {}))
    assert carry_out(store, store.catalog.job(first.id), Stop()).status == "done"
    assert started == [second]


@pytest.mark.slow
def test_a_worker_that_is_asked_to_end_leaves_its_jobs_to_the_next(
    store: Store,
    forked: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = request("digits-shuffling", {"epochs": "12"}, ["SS"], "2", checkpoint_seconds=0)
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    stops = [Stop(), Stop()]

    def watch() -> None:
        while not (stop := stops[0]):
            if store.catalog.checkpoints(id, "state"):
                stop.signal = signal.SIGTERM
            time.sleep(0.02)
        wait_for(store, id, *ENDED)
        stops[1].signal = signal.SIGINT

    watching = threading.Thread(target=watch)
    watching.start()
    assert worker.poll(store, stops[0], 1) == 1
    job = store.catalog.job(id)
    assert (job.status, job.host) == ("queued", None), (store.logs / f"{id}.log").read_text()
    assert 0 < job.step < job.steps
    assert worker.poll(store, stops[1], 1) == 1
    watching.join()
    assert store.catalog.job(id).status == "done", (store.logs / f"{id}.log").read_text()
    assert store.traces.count(wanted.study.name) == 2 * (12 * 32 + 1)
    assert "goes back to the queue at SIGTERM" in (store.logs / f"{id}.log").read_text()
    assert not [child for child in psutil.Process().children() if "--job" in child.cmdline()]
