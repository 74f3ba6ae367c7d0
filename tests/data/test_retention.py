"""What was deleted goes once its time is over, what was not stays bit for bit, and a kill does no harm."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from data import analyses, checkpoints, retention, tables
from data.errors import LabError
from data.integrity import check
from data.people import Person
from data.recovery import JobLock
from data.retention import tidy
from data.storage import total, usage
from data.store import Store, open_store
from tests.data.conftest import Lab
from tests.data.killing import Killer, killer  # noqa: F401  # a fixture
from tests.postgresql import copy_store

DAY = timedelta(days=1)


def ended(lab: Lab, job: int, days: float = 0.0, status: str = "done") -> None:
    lab.catalog.finish_job(job, status, runs=status)  # type: ignore[arg-type]
    age(lab, "jobs", "finished_at", job, days)


def age(lab: Lab, table: str, column: str, id: int, days: float) -> None:
    change(lab, table, {column: datetime.now(UTC) - days * DAY}, id)


def change(lab: Lab, table: str, values: dict[str, object], id: int) -> None:
    of = tables.metadata.tables[table]
    with lab.catalog.writing("machine") as connection:
        connection.execute(of.update().where(of.c.id == id).values(values))


def trained(lab: Lab, arms: dict[str, int], study: str = "study") -> tuple[int, list[int]]:
    """Write a job with rows, weights at two steps, a state and a log."""
    lab.study(study)
    job = lab.catalog.create_job("train", study, {}).id
    runs = lab.runs(job, arms, study)
    values = np.arange(len(runs) * 20.0).reshape(len(runs), 20) + job
    lab.write(job, runs, {"loss": values})
    for step in (5, 9):
        weights = np.arange(len(runs) * 3.0).reshape(-1, 3) + step + job
        checkpoints.save(lab.store, job, "weights", step, runs, {"w": weights})
    checkpoints.save(lab.store, job, "state", 9, runs, {"w": np.ones(3) * job}, stack=0)
    (lab.store.logs / f"{job}.log").write_text("said")
    return job, runs


def files(store: Store) -> int:
    """Return the bytes of all but the catalogue."""
    return total(one for one in usage(store) if one.kind != "catalogue")


@pytest.fixture
def deleted(lab: Lab) -> Lab:
    """A store in which run 2 of four was deleted 40 days ago and run 3 ten days ago."""
    job, runs = trained(lab, {"SS": 4})
    ended(lab, job, 50)
    lab.catalog.delete_runs(runs[1:3])
    age(lab, "runs", "deleted_at", runs[1], 40)
    age(lab, "runs", "deleted_at", runs[2], 10)
    return lab


def test_a_deleted_run_goes_after_the_undo_period_and_the_others_stay(deleted: Lab) -> None:
    store, catalog = deleted.store, deleted.catalog
    before = deleted.traces.table("study", ["loss"])
    weights = {run: checkpoints.weights(store, run, 5)[1]["w"].tolist() for run in (1, 3, 4)}
    bytes_before = files(store)
    rehearsed = tidy(store, dry_run=True)
    assert (rehearsed.runs, rehearsed.freed) == ([2], 0)
    assert [run.id for run in catalog.deleted_runs()] == [3, 2]
    done = tidy(store)
    assert (done.runs, done.studies, done.states, done.files, done.left) == ([2], [], 0, [], [])
    assert check(store) == []
    assert [run.id for run in catalog.job_runs(1)] == [1, 3, 4]
    assert deleted.traces.table("study", ["loss"]).equals(before)
    assert {run: checkpoints.weights(store, run, 5)[1]["w"].tolist() for run in (1, 3, 4)} == weights
    assert checkpoints.weight_steps(store, 4) == [5, 9]
    with pytest.raises(LabError, match="No weights"):
        checkpoints.weights(store, 2)
    (segment,) = catalog.segments([1])
    assert segment.rows == 60
    named = {row.path for row in [segment, *catalog.checkpoints(1)]}
    assert {path.relative_to(store.root).as_posix() for path in store.root.glob("[tc]*/*")} == named
    assert done.freed == bytes_before - files(store)
    catalog.restore_runs([3])  # the undo period of this one goes on
    assert deleted.traces.count("study") == 60
    assert tidy(store).runs == []


def test_a_job_of_which_nothing_is_left(deleted: Lab) -> None:
    deleted.catalog.delete_runs([1, 4])
    before = files(deleted.store)
    done = tidy(deleted.store, undo=timedelta(0))
    assert done.runs == [1, 2, 3, 4]
    assert done.files == ["logs/1.log"]
    assert before == done.freed
    assert not any(list((deleted.store.root / name).iterdir()) for name in ("traces", "checkpoints", "logs"))
    assert [study.name for study in deleted.catalog.studies()] == ["study"]
    assert [job.id for job in deleted.catalog.jobs()] == [1]
    assert check(deleted.store) == []


def test_a_deleted_study_goes_with_all_that_is_of_it(lab: Lab) -> None:
    job, _ = trained(lab, {"SS": 2})
    other, kept = trained(lab, {"RR": 2}, "other")
    for each in (job, other):
        ended(lab, each, 50)
    for study in ("study", "other"):
        analyses.save(lab.store, study, "latent", {}, {}, {"m": np.ones(3)})
    lab.catalog.delete_study("study")
    assert tidy(lab.store).studies == []
    lab.catalog.restore_study("study")
    assert lab.traces.count("study") == 40
    lab.catalog.delete_study("study")
    assert tidy(lab.store, undo=timedelta(0), dry_run=True).studies == ["study"]
    done = tidy(lab.store, undo=timedelta(0))
    assert done.studies == ["study"]
    assert len(done.runs) == 2
    assert [study.name for study in lab.catalog.studies(archived=True)] == ["other"]
    assert lab.catalog.deleted_studies() == []
    assert [each.id for each in lab.catalog.jobs()] == [other]
    assert [path.name for path in lab.store.logs.iterdir()] == [f"{other}.log"]
    assert len(list(lab.store.analyses.iterdir())) == 1
    assert lab.traces.count("other") == 40
    assert checkpoints.weight_steps(lab.store, kept[0]) == [5, 9]
    assert check(lab.store) == []
    assert [row.action for row in lab.catalog.audited(2)] == ["clear study", "clear runs"]


def test_attempts_that_a_finished_one_replaced(lab: Lab) -> None:
    first, old = trained(lab, {"SS": 2})
    ended(lab, first, 60, "stopped")
    second, new = trained(lab, {"SS": 2})
    ended(lab, second, 40)
    third, _ = trained(lab, {"SS": 2})
    ended(lab, third, 39, "stopped")  # newer, but unfinished: it may yet go on
    assert tidy(lab.store).runs == []  # the first may go on too, as long as it has states
    done = tidy(lab.store, states=55 * DAY)
    assert (done.states, done.runs) == (1, old)
    assert {run.id for run in lab.catalog.runs()} == set(new)
    assert checkpoints.states(lab.store, third)
    assert tidy(lab.store, states=30 * DAY).states == 2
    assert tidy(lab.store).runs == []  # the unfinished one is newer: it replaced nothing and was not replaced
    assert check(lab.store) == []


def test_states_of_ended_trainings_go_after_their_time(lab: Lab) -> None:
    (done, _), (stopped, _), (running, _) = (trained(lab, {arm: 1}) for arm in ("A", "B", "C"))
    ended(lab, done, 91)
    ended(lab, stopped, 89, "stopped")
    assert tidy(lab.store, dry_run=True).states == 1
    assert tidy(lab.store).states == 1
    assert [len(lab.catalog.checkpoints(job, "state")) for job in (done, stopped, running)] == [0, 1, 1]
    assert [len(lab.catalog.checkpoints(job, "weights")) for job in (done, stopped, running)] == [2, 2, 2]
    assert check(lab.store) == []
    assert len(list(lab.store.checkpoints.iterdir())) == 8


@pytest.mark.sqlite
def test_what_belongs_to_nothing_goes_when_it_is_old(lab: Lab) -> None:
    root = lab.store.root
    (root / "traces" / "1-0.spill.tmp").mkdir()
    (root / "uploads" / "given" / "files").mkdir(parents=True)
    names = [
        "traces/9-0-x.duckdb", "traces/1-0.spill.tmp/part", "checkpoints/1-x.tmp", "analyses/k.tmp",
        "logs/77.log", ".catalog-x.tmp", "uploads/given/files/a.csv", "catalog-0001.sqlite",
    ]  # fmt: skip
    for name in names:
        (root / name).write_bytes(b"left")
    (root / "logs" / "dashboard.log").write_text("stays")
    assert tidy(lab.store).files == []
    for path in [
        *(root / name for name in names),
        root / "traces" / "1-0.spill.tmp",
        root / "uploads" / "given",
    ]:
        os.utime(path, (0, (datetime.now(UTC) - 31 * DAY).timestamp()))
    assert len(tidy(lab.store, dry_run=True).files) == 8
    done = tidy(lab.store)
    assert len(done.files) == 8
    assert done.freed == 4 * 8
    assert not any((root / name).exists() for name in names)
    assert (root / "logs" / "dashboard.log").exists()


def test_jobs_at_work_are_left_alone(deleted: Lab) -> None:
    deleted.catalog.finish_job(1, "stopped")
    change(deleted, "jobs", {"status": "running"}, 1)
    assert tidy(deleted.store).runs == []
    change(deleted, "jobs", {"status": "stopped"}, 1)
    lock = JobLock(deleted.store.journals / "1")
    done = tidy(deleted.store)
    assert done.runs == []
    assert "Another process" in done.left[0]
    lock.release()
    assert tidy(deleted.store).runs == [2]


def test_a_run_brought_back_meanwhile_is_kept(deleted: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    merge = retention.merge_files

    def meddle(*words: object, **named: object) -> object:
        deleted.catalog.restore_runs([2])
        return merge(*words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(retention, "merge_files", meddle)
    before = sorted(path.name for path in deleted.store.segments.iterdir())
    done = tidy(deleted.store)
    assert done.runs == []
    assert "meanwhile" in done.left[0]
    assert sorted(path.name for path in deleted.store.segments.iterdir()) == before
    assert deleted.traces.count("study") == 60
    assert check(deleted.store) == []


def test_a_damaged_file_is_told_and_the_rest_is_tidied(deleted: Lab) -> None:
    job, runs = trained(deleted, {"RR": 2})
    ended(deleted, job, 50)
    deleted.catalog.delete_runs(runs[:1])
    age(deleted, "runs", "deleted_at", runs[0], 40)
    (segment,) = deleted.catalog.segments([1])
    (deleted.store.root / segment.path).write_bytes(b"not a database" * 100)
    done = tidy(deleted.store)
    assert done.runs == runs[:1]
    assert done.left[0].startswith("job 1:")


def test_only_an_administrator_tidies(deleted: Lab) -> None:
    with pytest.raises(LabError, match="Not allowed"):
        tidy(deleted.store.acting_as(Person("ada", "researcher")))


READING = """
import sys
from data.store import Store, open_store
store = open_store(sys.argv[1])
expected = int(sys.argv[2])
print("ready", flush=True)
for _ in range(30):
    frame = store.traces.frame("study", ["loss"], arms=["SS"])
    assert len(frame) == expected, len(frame)
"""


@pytest.mark.slow
def test_readers_see_no_gap(deleted: Lab) -> None:
    count = deleted.traces.count("study")
    command = [sys.executable, "-c", READING, str(deleted.store.root), str(count)]
    reader = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    for number in range(2):
        job, runs = trained(deleted, {f"X{number}": 1})
        ended(deleted, job, 50)
        deleted.catalog.delete_runs(runs)
        tidy(deleted.store)
    age(deleted, "runs", "deleted_at", 3, 40)
    assert tidy(deleted.store).runs == [3]
    assert reader.wait(60) == 0
    reader.stdout.close()


@pytest.mark.slow
@pytest.mark.sqlite  # the store is copied by its files
def test_killed_while_tidying(deleted: Lab, tmp_path: Path, killer: Killer) -> None:  # noqa: F811
    lab = deleted
    job, _ = trained(lab, {"RR": 2}, "gone")
    ended(lab, job, 50)
    analyses.save(lab.store, "gone", "latent", {}, {}, {"m": np.ones(3)})
    lab.catalog.delete_study("gone")
    rows = lab.traces.table("study", ["loss"])
    lab.store.close()
    work = tmp_path / "work"
    copy_store(lab.store.root, work)
    for moment in killer.moments(4, 1, "tidy", work):
        shutil.rmtree(work)
        copy_store(lab.store.root, work)
        killer.kill(moment, "tidy", work)
        store = open_store(work)
        assert [one.kind for one in check(store) if one.kind == "damaged"] == []
        assert store.traces.table("study", ["loss"]).equals(rows)
        tidy(store, undo=timedelta(0), states=timedelta(0), settled=timedelta(0))
        named = {row.path for row in [*store.catalog.segments([1]), *store.catalog.checkpoints(1)]}
        assert {path.relative_to(work).as_posix() for path in work.glob("[tcal]*/*")} == named | {
            "logs/1.log"
        }
        assert [run.id for run in store.catalog.job_runs(1)] == [1, 4]
        assert [study.name for study in store.catalog.studies()] == ["study"]
        assert check(store) == []
        store.close()
