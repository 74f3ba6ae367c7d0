"""The catalogue in PostgreSQL: who may open it, what it holds, and what its going away costs."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from data.backup import back_up
from data.checkpoints import states
from data.errors import LabError
from data.integrity import check
from data.restoring import restore
from data.rows import MetricRow
from data.store import POINTER, Store, open_store
from tests.data.conftest import Lab
from tests.postgresql import Server, server

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _in_postgresql(catalogue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETOUR_CATALOGUE", server().url)


@pytest.fixture
def lab(_in_postgresql: None, tmp_path: Path) -> Iterator[Lab]:
    store = open_store(tmp_path / "lab", create=True)
    yield Lab(store)
    store.close()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that a test may stop."""
    made = Server()
    monkeypatch.setenv("DETOUR_CATALOGUE", made.url)
    yield made
    made.remove()


@pytest.mark.parametrize(
    ("url", "title"),
    [
        ("postgresql+psycopg://lab:wrong@127.0.0.1:{port}/postgres", "refuses the password"),
        ("postgresql://lab:secret@127.0.0.1:{port}/nowhere", "no such database"),
        ("postgresql+psycopg://lab:secret@127.0.0.1:9/postgres", "cannot be reached"),
        ("postgresql+psycopg://lab:secret@nowhere.invalid/postgres", "cannot be reached"),
        ("mysql://lab:secret@127.0.0.1/lab", "cannot be there"),
        ("sqlite:///secret.db", "cannot be there"),
        ("secret", "no address"),
    ],
)
def test_an_address_that_is_no_good(
    url: str, title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETOUR_CATALOGUE", url.format(port=server().port))
    begun = time.monotonic()
    with pytest.raises(LabError, match=title) as raised:
        open_store(tmp_path / "lab", create=True)
    assert time.monotonic() - begun < 20
    assert ":wrong@" not in str(raised.value)
    assert ":secret@" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_store_stays_with_its_catalogue(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = lab.store.root
    assert not (root / "catalog.sqlite").exists()
    with lab.catalog.writing("machine") as connection:
        connection.commit()
    _superuser("CREATE DATABASE elsewhere")
    monkeypatch.setenv("DETOUR_CATALOGUE", server().url.replace("/postgres", "/elsewhere"))
    with pytest.raises(LabError, match="not the store's"):
        open_store(root, create=True)
    monkeypatch.delenv("DETOUR_CATALOGUE")
    with pytest.raises(LabError, match="is in a database"):
        open_store(root, create=True)
    open_store(tmp_path / "plain", create=True).close()
    monkeypatch.setenv("DETOUR_CATALOGUE", server().url)
    with pytest.raises(LabError, match="made without a database"):
        open_store(tmp_path / "plain")
    (root / POINTER).write_text("{}")
    with pytest.raises(LabError, match="does not say where"):
        open_store(root)


def _superuser(statement: str) -> None:
    import psycopg

    with psycopg.connect(server().url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_two_stores_share_a_database_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    other = open_store(tmp_path / "other", create=True)
    lab.job("mine")
    other.catalog.save_study("theirs", "S", "c", {}, "engine")
    assert [row.name for row in lab.catalog.studies()] == ["mine"]
    assert [row.name for row in other.catalog.studies()] == ["theirs"]
    with lab.catalog.writing("machine"):  # the one's lock is not the other's
        other.catalog.save_study("more", "S", "c", {}, "engine")
    other.close()


def test_many_creators_make_one_store(lab: Lab, tmp_path: Path) -> None:
    before = _schemas(lab)
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_store(tmp_path / "new", create=True), range(4)))
    stores[0].catalog.save_study("s", "S", "c", {}, "engine")
    assert [[row.name for row in store.catalog.studies()] for store in stores] == [["s"]] * 4
    assert len(_schemas(lab) - before) == 1
    for store in stores:
        store.close()
    assert {path.name for path in stores[0].root.iterdir() if path.is_file()} == {POINTER}


def test_a_user_who_may_make_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _superuser("CREATE ROLE reader LOGIN PASSWORD 'secret'")
    monkeypatch.setenv("DETOUR_CATALOGUE", server().url.replace("lab:", "reader:"))
    with pytest.raises(LabError, match="does not allow it"):
        open_store(tmp_path / "lab", create=True)
    assert list(tmp_path.iterdir()) == []


def test_it_holds_what_sqlite_holds(lab: Lab) -> None:
    config = {"nan": math.nan, "big": 2**62, "low": -math.inf, "text": "a\0b"}
    for name in ("b", "Z", "ä", "a b", "ab", "_"):
        lab.catalog.save_study(name, "S", "c", config, "engine")
    kept = lab.catalog.study("ä").config
    assert math.isnan(kept["nan"])
    assert (kept["big"], kept["low"], kept["text"]) == (2**62, -math.inf, "a\0b")
    with lab.catalog.reading() as connection:
        names = list(connection.execute(text("SELECT name FROM studies ORDER BY name")).scalars())
    assert names == sorted(names)
    job = lab.job()
    (run,) = lab.catalog.start_runs(job, "study", [("A", 2**40, {})], 2**41, "cpu")
    lab.catalog.advance_runs({run: 2**41})
    row = lab.catalog.add_segment(job, 0, "x", 2**33, 0, 2**41, 2**40, "0")
    assert (row.rows, row.bytes, lab.catalog.runs()[0].seed) == (2**33, 2**40, 2**40)


def test_a_reader_sees_one_moment_and_writers_take_turns(lab: Lab) -> None:
    lab.study("before")
    query = text("SELECT count(*) FROM studies")
    with lab.catalog.reading() as connection:
        assert connection.scalar(query) == 1
        lab.study("meanwhile")
        assert connection.scalar(query) == 1
    order = []
    with lab.catalog.writing("machine") as connection:
        assert connection.scalar(query) == 2
        waiting = threading.Thread(target=lambda: (lab.study("later"), order.append("later")))
        waiting.start()
        time.sleep(0.3)
        order.append("first")
    waiting.join()
    assert order == ["first", "later"]


def _cut(connection: Connection) -> None:
    """End a connection from the server's side."""
    driver: Any = connection.connection.dbapi_connection
    _superuser(f"SELECT pg_terminate_backend({driver.info.backend_pid})")


@pytest.mark.parametrize("when", ["begun", "before the commit", "after the commit"])
def test_a_connection_that_is_lost_costs_nothing_and_doubles_nothing(
    lab: Lab, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.study()
    left = [1]
    commit = Connection.commit

    def cut_off(connection: Connection) -> None:
        if left and not connection.get_execution_options().get("detour_writing"):
            return commit(connection)
        if left:
            left.clear()
            if when == "before the commit":
                _cut(connection)
            else:
                commit(connection)
                raise OperationalError("COMMIT", {}, Exception("gone"), connection_invalidated=True)
        return commit(connection)

    if when == "begun":
        with lab.catalog.reading() as connection:
            _cut(connection)
    else:
        monkeypatch.setattr(Connection, "commit", cut_off)
    job = lab.catalog.create_job("train", "study", {"number": 1})
    assert [(row.id, row.spec) for row in lab.catalog.jobs()] == [(job.id, {"number": 1})]
    assert [row.target for row in lab.catalog.audited() if row.action == "start train"] == ["study"]


def test_what_a_body_of_ones_own_was_at_is_told(lab: Lab) -> None:
    def body() -> None:
        with lab.catalog.writing("machine") as connection:
            connection.execute(text("DELETE FROM studies"))
            _cut(connection)
            connection.execute(text("SELECT 1"))

    lab.study()
    with pytest.raises(LabError, match="What it acknowledged before is kept"):
        body()
    assert len(lab.catalog.studies()) == 1


@pytest.mark.slow
def test_the_database_restarts_while_jobs_write(own: Server, tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    store.catalog.save_study("study", "S", "c", {}, "engine")
    store.catalog.save_metrics("study", [MetricRow("study", "loss", "Loss", "nats", "f", "s", True)])
    writers = [
        subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-m",
                "tests.data.postgresql_child",
                str(root),
                "8",
                f"writer{number}",
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    while len(store.traces.frame("study", ["loss"])["run"].unique()) < 8:
        time.sleep(0.05)
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT):
        time.sleep(1)
        own.stop(how)
        own.start()
        assert store.catalog.studies()  # this process' connections were cut off too
    answers = [writer.communicate(timeout=120) for writer in writers]
    for writer, (_, errors) in zip(writers, answers, strict=True):
        assert writer.returncode == 0, errors
    jobs = {job.id: job for job in store.catalog.jobs()}
    runs = store.catalog.runs("study")
    made = sorted((job.spec["writer"], job.spec["number"]) for job in jobs.values() if job.kind == "fit")
    assert len(set(made)) == len(made)
    for number, (said, _) in enumerate(answers):
        told = [line.split() for line in said.splitlines()]
        assert {int(what) for kind, what in told if kind == "job"} <= set(jobs)
        rows = max(int(what) for kind, what in told if kind == "rows")
        mine = [run for run in runs if run.arm == f"writer{number}"]
        frame = store.traces.frame("study", ["loss"])
        assert sum(frame["run"].isin([run.id for run in mine])) == rows
        tags = [f"writer{number}-{what}" for kind, what in told if kind == "note"]
        assert mine[0].tags == tags
        assert len(tags) > 5
        (state,) = states(store, mine[0].job)
        assert state[1]["at"].tolist() == [len(tags) - 1] * 3
        assert jobs[mine[0].job].status == "done"
    assert check(store) == []
    store.close()


def test_an_end_that_nobody_tells(own: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "lab", create=True)
    monkeypatch.setattr("data.database.BUSY_SECONDS", 0.5)
    own.stop()
    for call in (store.catalog.studies, lambda: store.catalog.create_job("train", "study", {})):
        begun = time.monotonic()
        with pytest.raises(LabError, match="cannot be reached"):
            call()
        assert 0.5 <= time.monotonic() - begun < 5
    own.start()
    assert store.catalog.jobs() == []
    store.close()


def test_from_a_file_to_a_database_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["DETOUR_CATALOGUE"]
    monkeypatch.delenv("DETOUR_CATALOGUE")
    lab = Lab(open_store(tmp_path / "file", create=True))
    job = lab.job()
    runs = lab.runs(job, {"A": 2})
    lab.catalog.save_metrics("study", [MetricRow("study", "loss", "Loss", "nats", "f", "s", True)])
    lab.write(job, runs, {"loss": np.random.default_rng(0).normal(size=(2, 50))})
    lab.catalog.update_runs([{"id": runs[0], "finals": {"loss": math.nan}}])
    lab.catalog.finish_job(job, "done")
    rows, facts = lab.traces.table("study", ["loss"]), _facts(lab.store)
    back_up(lab.store, tmp_path / "backup")
    lab.store.close()

    monkeypatch.setenv("DETOUR_CATALOGUE", url)
    restore(tmp_path / "backup", tmp_path / "database")
    assert json.loads((tmp_path / "database" / POINTER).read_text())["schema"].startswith("detour_")
    moved = open_store(tmp_path / "database")
    assert not (moved.root / "catalog.sqlite").exists()
    assert _facts(moved) == facts
    assert moved.traces.table("study", ["loss"]).equals(rows)
    assert check(moved) == []
    assert moved.catalog.create_job("train", "study", {}).id == job + 1
    assert (
        open_store(tmp_path / "backup").catalog.job(job).status == "done"
    )  # a backup has a catalogue of its own
    back_up(moved, tmp_path / "again")
    moved.close()

    monkeypatch.delenv("DETOUR_CATALOGUE")
    restore(tmp_path / "again", tmp_path / "plain")
    plain = open_store(tmp_path / "plain")
    assert _facts(plain) == facts
    assert plain.traces.table("study", ["loss"]).equals(rows)
    plain.close()


def test_a_move_that_fails_leaves_nothing(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_up(lab.store, tmp_path / "backup")
    schemas = _schemas(lab)
    monkeypatch.setattr("data.moving.copy_rows", lambda source, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        restore(tmp_path / "backup", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert _schemas(lab) == schemas


def _schemas(lab: Lab) -> set[str]:
    with lab.catalog.reading() as connection:
        return set(connection.execute(text("SELECT nspname FROM pg_namespace")).scalars())


def _facts(store: Store) -> str:
    return repr(
        [store.catalog.studies(), store.catalog.runs(), store.catalog.job(1), store.catalog.segments([1])]
    )


HOST = """
import socket, sys
import numpy as np
socket.gethostname = lambda: sys.argv[2]
from data.catalog_jobs import Process
from data.checkpoints import save, states
from data.store import open_store
from data.traces import TraceWriter
from engine.jobs.worker import me
store = open_store(sys.argv[1])
first = sys.argv[2] == "first"
jobs = store.catalog.jobs("study")
if first:
    job = store.catalog.create_job("train", "study", {}).id
    assert store.catalog.claim_job(job, *me())
    runs = store.catalog.start_runs(job, "study", [("A", seed, {}) for seed in range(2)], 100, "cpu")
    save(store, job, "state", 10, runs, {"at": np.arange(3)}, stack=0)
    start, stop = 0, 10
else:
    job = jobs[0].id
    assert jobs[0].host == "first"
    assert store.catalog.finish_job(job, "stopped", runs="stopped")
    assert store.catalog.requeue_job(job, me())
    runs = [run.id for run in store.catalog.job_runs(job)]
    ((row, state),) = states(store, job)
    assert (row.step, state["at"].tolist()) == (10, [0, 1, 2])
    start, stop = 10, 20
writer = TraceWriter(store, job, ["loss"])
for step in range(start, stop):
    writer.write(runs, [step] * 2, [0.0] * 2, [0.0] * 2, {"loss": [1.0 * step] * 2})
writer.flush()
if first:
    import os; os.kill(os.getpid(), 9)
writer.close()
store.catalog.finish_job(job, "done")
"""


def test_two_machines_share_a_folder_and_a_database(lab: Lab) -> None:
    lab.study()
    lab.catalog.save_metrics("study", [MetricRow("study", "loss", "Loss", "nats", "f", "s", True)])
    for host, status in (("first", -signal.SIGKILL), ("second", 0)):
        done = subprocess.run(
            [sys.executable, "-c", HOST, str(lab.store.root), host],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
    (job,) = lab.catalog.jobs()
    assert (job.host, job.status) == ("second", "done")
    frame = lab.traces.frame("study", ["loss"])
    assert frame["loss"].tolist() == list(range(20)) * 2
    assert check(lab.store) == []
