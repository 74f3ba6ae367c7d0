import errno
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import psutil
import pytest
from sqlalchemy import update

from data import tables
from data.catalog import Catalog
from data.catalog_jobs import STARTS, Process
from data.errors import LabError
from data.journal import read_journal
from data.people import Person
from data.queueing import Capacity
from data.recovery import JobLock
from data.store import Store
from data.traces import TraceWriter
from engine.jobs import launching, queue
from engine.jobs.request import request
from tests.engine.forking import Forked
from tests.engine.jobs.ray_nodes import Nodes

ENDED = ("done", "failed", "stopped")


@pytest.fixture(autouse=True)
def _processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "process")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers be forked from a process that has torch loaded."""

    def begin(command: list[str], stdout: IO[bytes], env: dict[str, str], **rest: object) -> Forked:
        assert command[:3] == [sys.executable, "-m", "engine"]
        return Forked(command[3:], env, Path(stdout.name))

    monkeypatch.setattr(launching.subprocess, "Popen", begin)


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """Return the settings that lead jobs to a Ray cluster of two nodes."""
    pytest.importorskip("ray")
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        nodes = Nodes(patch, 2)
        settings = {name: value for name, value in os.environ.items() if before.get(name) != value}
    yield settings
    nodes.close()


@pytest.fixture(
    params=["process", pytest.param("ray", marks=[pytest.mark.slow, pytest.mark.filterwarnings("ignore")])]
)
def runner(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let jobs run here, or on a Ray cluster."""
    if request.param == "ray":
        for name, value in request.getfixturevalue("cluster").items():
            monkeypatch.setenv(name, value)
    else:
        request.getfixturevalue("forked")
    return str(request.param)


def process_of(store: Store, id: int) -> psutil.Process:
    """Return the process that has taken a job."""
    wait_for(store, id, "running", *ENDED)
    pid = store.catalog.job(id).pid
    assert pid is not None, (store.logs / f"{id}.log").read_text()
    return psutil.Process(pid)


def kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):  # a job that was stopped may have gone by itself
        process.kill()
    process.wait(30)


def wait_for(store: Store, id: int, *statuses: str) -> str:
    deadline = time.monotonic() + 120
    while (status := store.catalog.job(id).status) not in statuses:
        assert time.monotonic() < deadline, store.catalog.job(id)
        time.sleep(0.05)
    return status


def gone() -> tuple[int, float]:
    """Return the id and start of a process that has ended and been waited for."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    process.communicate()
    return process.pid, started


def claim(store: Store, pid: int, started: float, host: str) -> int:
    store.catalog.save_study("s", "S", "claim", {}, "engine")
    id = store.catalog.create_job("train", "s", {}).id
    assert store.catalog.claim_job(id, pid, started, host)
    return id


def test_a_submitted_job_runs_in_a_process_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_JOBS_GPUS", "1")  # which is kept for it, whether or not torch finds one
    wanted = request("digits-shuffling", {"epochs": "1"}, ["SS"], "1")
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    process = launching._started[id]
    assert wait_for(store, id, *ENDED) == "done", (store.logs / f"{id}.log").read_text()
    assert process.wait(30) == 0
    assert store.catalog.job(id).pid == process.pid != os.getpid()
    assert store.catalog.job(id).gpu == 0
    assert store.traces.count(wanted.study.name) == wanted.study.steps + 1
    assert queue.reap(store) == []
    assert id not in launching._started


@pytest.mark.slow
def test_a_killed_job_is_marked_and_its_rows_are_kept(store: Store, runner: str) -> None:
    wanted = request("digits-shuffling", {"epochs": "100000"}, ["SS"], "2")
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    process = process_of(store, id)
    try:
        deadline = time.monotonic() + 60
        while store.catalog.job(id).step < 100 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert queue.reap(store) == []
    finally:
        kill(process)
    journal = max((store.journals / str(id)).glob("*.arrows"))
    acknowledged = read_journal(journal).num_rows
    assert acknowledged
    assert queue.reap(store) == [id]
    assert store.catalog.job(id).status == "stopped"
    assert {run.status for run in store.catalog.runs(wanted.study.name)} == {"stopped"}
    assert store.traces.count(wanted.study.name) == acknowledged
    assert not (store.journals / str(id)).exists()


def test_a_stopped_job_keeps_its_rows_and_says_so(store: Store, runner: str) -> None:
    wanted = request("digits-shuffling", {"epochs": "100000"}, ["SS"], "2")
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    process = process_of(store, id)
    try:
        queue.stop(store, id)
        assert wait_for(store, id, *ENDED) == "stopped", (store.logs / f"{id}.log").read_text()
    finally:
        kill(process)
    assert {run.status for run in store.catalog.runs(wanted.study.name)} <= {"stopped"}
    with pytest.raises(LabError, match="is stopped"):
        queue.stop(store, id)


def test_a_queued_job_stops_at_once(store: Store) -> None:
    id = store.catalog.create_job("train", "s", {}).id
    queue.stop(store, id)
    assert store.catalog.job(id).status == "stopped"


@pytest.mark.slow
def test_a_killed_training_is_resumed_in_a_process_of_its_own(store: Store, runner: str) -> None:
    wanted = request("digits-shuffling", {"epochs": "4"}, ["SS"], "2", checkpoint_seconds=0)
    id = queue.submit(store, "train", wanted.study.name, wanted.spec)
    process = process_of(store, id)
    try:
        deadline = time.monotonic() + 60
        while not store.catalog.checkpoints(id, "state") and time.monotonic() < deadline:
            time.sleep(0.03)
    finally:
        kill(process)
    assert 0 <= store.catalog.job(id).step < 2 * 128
    queue.resume(store, id)
    with pytest.raises(LabError, match=r"is (queued|running)"):
        queue.resume(store, id)
    assert wait_for(store, id, *ENDED) == "done", (store.logs / f"{id}.log").read_text()
    assert store.catalog.job(id).pid not in (process.pid, os.getpid())
    assert store.traces.count(wanted.study.name) == 2 * 129
    assert {(run.status, run.step) for run in store.catalog.runs()} == {("done", 128)}
    assert "was stopped at" in (store.logs / f"{id}.log").read_text()


def test_a_process_that_dies_before_it_takes_its_job_is_started_again_a_few_times(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    id = queue.submit(store, "train", "s", {})
    for start in range(1, STARTS + 1):
        launching._started[id].wait(30)
        job = store.catalog.job(id)
        assert (job.status, job.host, job.spec["starts"]) == ("queued", socket.gethostname(), start)
        assert queue.tend(store) == ([] if start < STARTS else [id])
    assert store.catalog.job(id).status == "stopped"
    assert store.catalog.requeue_job(id)
    assert "starts" not in store.catalog.job(id).spec


def test_a_job_that_went_on_elsewhere_is_not_ended_by_who_saw_its_former_process_dead(store: Store) -> None:
    id = claim(store, *gone(), socket.gethostname())
    seen = store.catalog.job(id)
    assert queue.reap(store) == [id]
    me = psutil.Process()
    assert store.catalog.requeue_job(id)
    assert store.catalog.claim_job(id, me.pid, me.create_time(), socket.gethostname())
    assert not queue.end(store, seen, "stopped", None)
    assert store.catalog.job(id).status == "running"


def test_dead_jobs_of_this_machine_only_are_marked(store: Store) -> None:
    me = psutil.Process()
    pid, started = gone()
    dead = claim(store, pid, started, socket.gethostname())
    elsewhere = claim(store, pid, started, "another-machine")
    alive = claim(store, me.pid, me.create_time(), socket.gethostname())
    reused = claim(store, me.pid, me.create_time() - 3600, socket.gethostname())
    assert sorted(queue.reap(store)) == [dead, reused]
    assert store.catalog.job(elsewhere).status == store.catalog.job(alive).status == "running"
    error = store.catalog.job(dead).error
    assert error is not None
    assert error["title"] == "The job's process is gone"


def test_a_training_elsewhere_is_gone_when_it_is_silent_and_holds_nothing(store: Store) -> None:
    """As after a restart of a container, which comes back under another name."""
    id = claim(store, *gone(), "another-machine")
    (run,) = store.catalog.start_runs(id, "s", [("A", 0, {})], steps=10, device="cpu")
    writer = TraceWriter(store, id, ["loss"])
    writer.write([run], [0], [0.0], [0.1], {"loss": [1.0]})
    writer.flush()
    writer._lock.release()  # killed
    assert queue.reap(store) == []  # it spoke a moment ago
    with store.catalog.writing("machine") as connection:
        connection.execute(update(tables.jobs).values(heartbeat_at=datetime.now(UTC) - timedelta(hours=1)))
    holding = JobLock(store.journals / str(id))
    assert queue.reap(store) == []
    holding.release()
    assert queue.reap(store) == [id]
    assert {row.status for row in store.catalog.runs()} == {"stopped"}
    assert len(store.catalog.segments([id])) == store.traces.count("s") == 1
    assert list(store.journals.iterdir()) == []


def test_rows_that_an_ended_job_left_unsealed_are_sealed_later(store: Store) -> None:
    pid, started = gone()
    id = claim(store, pid, started, socket.gethostname())
    runs = store.catalog.start_runs(id, "s", [("A", 0, {})], steps=10, device="cpu")
    store.catalog.finish_job(id, "stopped")
    writer = TraceWriter(store, id, ["loss"], "float32")
    writer.write(runs, [0], [0.0], [0.1], {"loss": [1.0]})
    writer.flush()
    assert queue.reap(store) == []  # another process writes: left alone, and nothing is lost
    assert store.traces.count("s") == 1
    writer.close()
    queue.reap(store)
    assert store.traces.count("s") == 1
    assert len(store.catalog.segments([id])) == 1


def test_a_person_with_fewer_rights_or_no_room_left_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETOUR_LIMITS_SEEDS", "5")
    ada = store.acting_as(Person("ada@lab.example", "researcher"))
    spec = {"study": "digits-shuffling", "overrides": {}, "arms": [], "seeds": [0, 1], "device": "cpu"}
    with pytest.raises(LabError, match=r"8 runs.* may train 5"):  # all four arms, unnamed
        queue.submit(ada, "train", "digits-shuffling", spec)
    with pytest.raises(LabError, match="Not allowed"):
        queue.submit(store.acting_as(Person("eve@lab.example", "viewer")), "fit", "s", {})
    monkeypatch.setenv("DETOUR_LIMITS_STORAGE_GB", "0.000001")
    job = ada.catalog.create_job("fit", "s", {}).id
    store.catalog.request_stop(job)
    (store.logs / f"{job}.log").write_text("x" * 2000)
    with pytest.raises(LabError, match=r"keeps 0\.0 GiB; one person may keep 1e-06 GiB.* administrator"):
        queue.submit(ada, "fit", "s", {})
    assert [row.id for row in store.catalog.jobs()] == [job]


def test_a_job_that_was_kept_for_a_process_which_is_gone_waits_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "launch", lambda *_: pytest.fail("started by who only looks"))
    pid, started = gone()
    ours, theirs = (store.catalog.create_job("fit", "s", {}).id for _ in range(2))
    for host in (socket.gethostname(), "another-machine"):
        assert store.catalog.take_next(Process(pid, started, host), Capacity(0)) is not None
    assert queue.reap(store) == []
    assert (store.catalog.job(ours).host, store.catalog.job(theirs).host) == (None, "another-machine")
    with store.catalog.writing("machine") as connection:
        connection.execute(update(tables.jobs).values(heartbeat_at=datetime.now(UTC) - timedelta(hours=1)))
    assert queue.reap(store) == []
    assert store.catalog.job(theirs).host is None


def test_a_job_that_could_not_be_started_waits_as_before(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = store.catalog.create_job("fit", "s", {"study": "s"}).id

    def refuse(*words: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launching, "launch", refuse)
    with pytest.raises(LabError, match="disk is full"):
        queue.pump(store)
    assert store.catalog.job(job).host is None
    with monkeypatch.context() as context:  # the catalogue is on the same disk
        context.setattr(Catalog, "release_job", refuse)
        with pytest.raises(OSError, match="No space"):
            queue.pump(store)
    assert store.catalog.job(job).pid == os.getpid()
    assert queue.reap(store) == []
    assert store.catalog.job(job).host is None
