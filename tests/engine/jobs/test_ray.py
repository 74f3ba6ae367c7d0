"""Jobs on a Ray cluster of two nodes, with the catalogue in PostgreSQL."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.errors import LabError
from data.store import Store, open_store
from engine.jobs import queue
from engine.jobs.request import request
from tests.engine.jobs.ray_nodes import Nodes
from tests.postgresql import server

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

STUDY = "digits-shuffling"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("DETOUR_CATALOGUE", server().url)
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "ray")
    opened = open_store(tmp_path / "lab", create=True)
    yield opened
    opened.close()


@pytest.fixture
def nodes(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    made = Nodes(monkeypatch, 2)
    yield made
    made.close()


def until(store: Store, id: int, what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 180
    while not what():
        assert time.monotonic() < deadline, (store.catalog.job(id), (store.logs / f"{id}.log").read_text())
        time.sleep(0.1)
        queue.tend(store)


def test_a_node_dies_and_its_job_goes_on_elsewhere(store: Store, nodes: Nodes) -> None:
    def submit(epochs: int) -> int:
        wanted = request(STUDY, {"epochs": str(epochs)}, ["SS"], "1", checkpoint_seconds=0)
        return queue.submit(store, "train", wanted.study.name, wanted.spec)

    def status(id: int) -> str:
        return store.catalog.job(id).status

    told_to_stop = signal.getsignal(signal.SIGTERM)
    endless, killed = submit(100_000), submit(60)
    assert signal.getsignal(signal.SIGTERM) == told_to_stop
    until(store, killed, lambda: store.catalog.checkpoints(killed, "state"))
    until(store, endless, lambda: store.catalog.job(endless).step > 0)
    waiting = submit(1)
    pid = store.catalog.job(killed).pid
    assert pid is not None
    rows = store.traces.count(f"{STUDY}@epochs=60")
    nodes.kill(pid)
    until(store, killed, lambda: status(killed) == "stopped")
    assert store.traces.count(f"{STUDY}@epochs=60") >= rows > 0
    assert store.catalog.job(killed).step < 60 * 32
    assert status(waiting) == "queued"  # the node that is left is busy

    queue.stop(store, endless)
    until(store, endless, lambda: status(endless) == "stopped")
    queue.resume(store, killed)
    for id in (waiting, killed):
        until(store, id, lambda id=id: status(id) not in ("queued", "running"))  # type: ignore[misc]
        assert status(id) == "done", (store.logs / f"{id}.log").read_text()
    assert store.catalog.job(killed).spec["resumed"] == 1
    assert store.traces.count(f"{STUDY}@epochs=60") == 60 * 32 + 1
    assert store.traces.count(f"{STUDY}@epochs=1") == 33


def test_without_a_cluster_a_job_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_JOBS_RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(LabError, match="no Ray cluster"):
        queue.submit(store, "fit", "s", {})
    (job,) = store.catalog.jobs()
    assert (job.status, job.host) == ("queued", None)
