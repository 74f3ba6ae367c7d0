"""The catalogue: every method, the rule of what counts against a plain one, many processes at once."""

import dataclasses
import math
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import migrations, tables
from data.catalog import MetricRow
from data.catalog_jobs import Process
from data.errors import LabError
from tests.data.conftest import Lab

pytestmark = pytest.mark.both_catalogues


def test_migrations_lead_to_the_tables_of_the_code(lab: Lab) -> None:
    with lab.catalog.writing("machine") as connection:
        # A database's columns are as wide as they need to be, and it has a table for itself.
        same: dict[str, Any] = {"compare_type": connection.dialect.name == "sqlite"}
        same["include_name"] = lambda name, kind, parents: name != "ends_of_transactions"
        assert compare_metadata(MigrationContext.configure(connection, opts=same), tables.metadata) == []
        tables.metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE alembic_version")
        migrations.follow(connection)
        assert compare_metadata(MigrationContext.configure(connection, opts=same), tables.metadata) == []
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_current_head() == migrations.HEAD
    assert {script.revision for script in scripts.walk_revisions()} == set(migrations.KNOWN)


def test_an_upgrade_of_the_newest_changes_nothing(lab: Lab) -> None:
    lab.study()
    lab.catalog.migrate()
    assert [row.name for row in lab.catalog.studies()] == ["study"]


def test_studies(lab: Lab) -> None:
    lab.catalog.save_study("b", "B", "old", {"lr": 0.1}, "engine")
    first = lab.catalog.study("b")
    lab.catalog.save_study("a", "A", "c", {"nan": math.nan, "steps": np.int64(3)}, "client")
    lab.catalog.save_study("b", "B", "new", {"lr": 0.2}, "engine")
    assert [row.name for row in lab.catalog.studies()] == ["b", "a"]
    again = lab.catalog.study("b")
    assert (again.claim, again.config, again.created_at) == ("new", {"lr": 0.2}, first.created_at)
    assert again.created_at.tzinfo is not None
    assert abs(datetime.now(UTC) - again.created_at) < timedelta(minutes=1)
    assert math.isnan(lab.catalog.study("a").config["nan"])
    with pytest.raises(LabError, match="`a`, `b`"):
        lab.catalog.study("c")
    with pytest.raises(dataclasses.FrozenInstanceError):
        again.title = "x"  # type: ignore[misc]


def test_metrics_keep_their_order(lab: Lab) -> None:
    study = lab.study()

    def row(name: str, unit: str = "nats") -> MetricRow:
        return MetricRow(study, name, name.title(), unit, "f", "s", True)

    lab.catalog.save_metrics(study, [row("z"), row("a")])
    lab.catalog.save_metrics(study, [row("m"), row("z", "bits")])
    assert lab.catalog.metrics(study) == [row("z", "bits"), row("a"), row("m")]
    assert lab.catalog.metrics("other") == []
    with pytest.raises(ValueError, match="must all belong"):
        lab.catalog.save_metrics("other", [row("z")])


def test_a_job_from_queue_to_end(lab: Lab) -> None:
    first, second = lab.job(), lab.job("other", "fit")
    assert lab.catalog.claim_job(first, 12, 34.5, "host")
    assert not lab.catalog.claim_job(first, 13, 34.5, "host")
    assert lab.catalog.heartbeat(first, 3, 10, 1.5, "going") is False
    lab.catalog.request_stop(first)
    assert lab.catalog.heartbeat(first, 4, 10, None, "going") is True
    row = lab.catalog.job(first)
    assert (row.status, row.step, row.steps, row.rate, row.pid, row.host) == (
        "running",
        4,
        10,
        None,
        12,
        "host",
    )
    assert row.process_started == 34.5
    lab.catalog.finish_job(first, "failed", error={"title": "T", "message": "m", "remedy": "r"})
    row = lab.catalog.job(first)
    assert (row.status, row.error, row.result) == (
        "failed",
        {"title": "T", "message": "m", "remedy": "r"},
        None,
    )
    assert row.finished_at is not None
    assert [each.id for each in lab.catalog.jobs()] == [second, first]
    assert [each.id for each in lab.catalog.jobs("study")] == [first]
    lab.catalog.request_stop(second)
    assert lab.catalog.job(second).status == "stopped"
    assert not lab.catalog.claim_job(second, 1, 1.0, "host")
    for call in (
        lambda: lab.catalog.job(99),
        lambda: lab.catalog.heartbeat(99, 0, 0, None, ""),
        lambda: lab.catalog.request_stop(99),
        lambda: lab.catalog.finish_job(99, "done"),
    ):
        with pytest.raises(LabError, match="no job 99"):
            call()


def test_a_job_ends_and_goes_on(lab: Lab) -> None:
    catalog, job = lab.catalog, lab.job()
    ids = lab.runs(job, {"A": 3})
    other = lab.runs(lab.job(), {"B": 1})
    catalog.update_runs([{"id": ids[0], "status": "done"}])
    assert not catalog.requeue_job(job)
    assert catalog.claim_job(job, 12, 34.5, "host")
    assert not catalog.requeue_job(job)
    catalog.heartbeat(job, 3, 10, 1.5, "going")
    assert not catalog.finish_job(job, "stopped", runs="stopped", pid=13)
    assert catalog.job(job).status == "running"
    catalog.request_stop(job)
    assert catalog.finish_job(job, "stopped", error={"title": "T"}, runs="stopped", pid=12)
    assert not catalog.finish_job(job, "failed", runs="failed")
    status = {row.id: (row.status, row.finished_at is None) for row in catalog.runs(current=False)}
    assert [status[id] for id in ids] == [("done", True), ("stopped", False), ("stopped", False)]
    assert status[other[0]] == ("running", True)
    assert catalog.amend_spec(job, at_once=4, more=[1]) == {"at_once": 4, "more": [1]}
    assert catalog.amend_spec(job, more=2) == catalog.job(job).spec == {"at_once": 4, "more": 2}
    assert catalog.requeue_job(job)
    row = catalog.job(job)
    assert (row.status, row.error, row.result, row.finished_at, row.started_at) == ("queued", *[None] * 4)
    assert (row.pid, row.stop_requested, row.step, row.steps) == (None, False, 3, 10)
    catalog.request_stop(job)
    assert catalog.job(job).status == "stopped"
    assert catalog.requeue_job(job, Process(7, 8.5, "here"))
    row = catalog.job(job)
    assert (row.status, row.pid, row.process_started, row.host) == ("running", 7, 8.5, "here")
    assert not row.stop_requested
    assert row.started_at is not None
    catalog.note_process(job, Process(9, 9.0, "there"))
    assert catalog.job(job).pid == 7
    catalog.finish_job(job, "done")
    assert not catalog.requeue_job(job)
    begun = catalog.create_job("fit", "study", {}, Process(1, 2.5, "here"))
    assert (begun.status, begun.pid) == ("running", 1)
    queued = catalog.create_job("fit", "study", {}).id
    catalog.note_process(queued, Process(9, 9.0, "there"))
    assert (catalog.job(queued).status, catalog.job(queued).pid) == ("queued", 9)
    with pytest.raises(LabError, match="no job 99"):
        catalog.amend_spec(99, x=1)


def test_runs_have_lengths_of_their_own_and_advance(lab: Lab) -> None:
    job = lab.job()
    ids = lab.catalog.start_runs(job, "study", [("A", 0, {}), ("B", 0, {})], [50, 70], "cpu")
    assert [row.steps for row in lab.catalog.job_runs(job)] == [50, 70]
    lab.catalog.advance_runs({ids[1]: 9})
    lab.catalog.advance_runs({})
    lab.catalog.delete_runs(ids[:1])
    assert [(row.id, row.step) for row in lab.catalog.job_runs(job)] == [(ids[0], 0), (ids[1], 9)]
    with pytest.raises(ValueError, match="shorter"):
        lab.catalog.start_runs(job, "study", [("A", 0, {}), ("B", 0, {})], [50], "cpu")


def test_runs_change_together_or_not_at_all(lab: Lab) -> None:
    job = lab.job()
    ids = lab.catalog.start_runs(job, "study", [("SS", 1, {"lr": 1}), ("RR", 0, {})], 50, "cpu")
    assert lab.catalog.start_runs(job, "study", [], 50, "cpu") == []
    finals = {"loss": math.inf, "accuracy": None, "norm": math.nan}
    lab.catalog.update_runs(
        [{"id": ids[0], "status": "diverged", "finals": finals}, {"id": ids[1], "step": 5}]
    )
    rows = {row.id: row for row in lab.catalog.runs("study")}
    assert [rows[id].arm for id in ids] == ["SS", "RR"]
    assert repr(rows[ids[0]].finals) == "{'loss': inf, 'accuracy': None, 'norm': nan}"
    assert (rows[ids[1]].step, rows[ids[0]].config, rows[ids[1]].tags) == (5, {"lr": 1}, [])
    with pytest.raises(LabError, match="no run 99"):
        lab.catalog.update_runs([{"id": ids[1], "step": 6}, {"id": 99, "step": 1}])
    assert {row.id: row.step for row in lab.catalog.runs()}[ids[1]] == 5
    with pytest.raises(ValueError, match="fields of a run"):
        lab.catalog.update_runs([{"id": ids[0], "color": "red"}])
    with pytest.raises(ValueError, match="`status` must be one of"):
        lab.catalog.update_runs([{"id": ids[0], "status": "fine"}])


def test_notes_tags_archive_delete_restore(lab: Lab) -> None:
    job = lab.job()
    one, two = lab.runs(job, {"SS": 2})
    lab.catalog.note_run(one, "odd")
    lab.catalog.tag_runs([one, two], add=["a", "b"])
    lab.catalog.tag_runs([one], add=["a", "c"], remove=["b"])
    rows = {row.id: row for row in lab.catalog.runs()}
    assert (rows[one].note, rows[one].tags, rows[two].tags) == ("odd", ["a", "c"], ["a", "b"])
    lab.catalog.archive_runs([one])
    assert [row.id for row in lab.catalog.runs()] == [two]
    assert [row.id for row in lab.catalog.runs(archived=True)] == [one, two]
    assert len(lab.catalog.snapshot("study").runs) == 2
    lab.catalog.delete_runs([one])
    assert [row.id for row in lab.catalog.runs(archived=True, current=False)] == [two]
    assert [row.id for row in lab.catalog.deleted_runs("study")] == [one]
    assert len(lab.catalog.snapshot("study").runs) == 1
    lab.catalog.restore_runs([one])
    assert [row.id for row in lab.catalog.runs()] == [one, two]
    with pytest.raises(LabError, match="no run 99"):
        lab.catalog.tag_runs([99], add=["x"])


STATUSES = ["queued", "running", "done", "diverged", "stopped", "failed"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    attempts=st.lists(
        st.tuples(
            st.sampled_from("AB"), st.integers(0, 1), st.sampled_from(STATUSES), st.booleans(), st.booleans()
        ),
        max_size=12,
    )
)
def test_which_run_counts(lab: Lab, attempts: list[tuple[str, int, str, bool, bool]]) -> None:
    study = f"study{datetime.now(UTC).timestamp()}"
    job = lab.job(study)
    expected: dict[tuple[str, int], tuple[bool, int]] = {}
    hidden = set()
    now = datetime.now(UTC)
    for arm, seed, status, archived, deleted in attempts:
        (id,) = lab.catalog.start_runs(job, study, [(arm, seed, {})], 1, "cpu")
        change = {"id": id, "status": status, "archived_at": now if archived else None}
        lab.catalog.update_runs([change | {"deleted_at": now if deleted else None}])
        if archived:
            hidden.add(id)
        rank = (status in ("done", "diverged"), id)
        if not deleted and rank > expected.get((arm, seed), (False, -1)):
            expected[arm, seed] = rank
    counting = {id for _, id in expected.values()}
    assert {id for id, _, _ in lab.catalog.snapshot(study).runs} == counting
    assert {row.id for row in lab.catalog.runs(study, archived=True)} == counting
    assert {row.id for row in lab.catalog.runs(study)} == counting - hidden


def test_segments_and_analyses(lab: Lab) -> None:
    job = lab.job()
    ids = [lab.catalog.add_segment(job, part, f"traces/{part}", 5, 0, 4, 10, "hash").id for part in (0, 1)]
    with pytest.raises(LabError):
        lab.catalog.add_segment(job, 1, "traces/again", 5, 0, 4, 10, "hash")
    new = {
        "part": 1,
        "path": "traces/m",
        "rows": 10,
        "first_step": 0,
        "last_step": 9,
        "bytes": 9,
        "sha256": "x",
    }
    merged = lab.catalog.replace_segments(job, ids, new)
    assert lab.catalog.segments([job]) == [merged]
    assert lab.catalog.segments([]) == []
    assert lab.catalog.segments(range(2000)) == [merged]
    kept = lab.catalog.save_analysis("study", "latent", "k", {"a": 1}, {"b": 2}, "p", "1", "2", seed=3)
    again = lab.catalog.save_analysis("study", "latent", "k", {"a": 1}, {"b": 3}, "p", "1", "2")
    assert (again.id, again.summary, again.seed) == (kept.id, {"b": 3}, None)
    assert lab.catalog.analysis("k") == lab.catalog.analysis(kept.id) == again
    assert lab.catalog.analyses("study", "latent") == [again]
    assert lab.catalog.analyses("study", "effect") == lab.catalog.analyses("other") == []
    with pytest.raises(LabError, match="no analysis"):
        lab.catalog.analysis("nothing")


def test_what_cannot_be_kept_is_refused(lab: Lab) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        lab.catalog.save_study("s", "S", "c", {"x": object()}, "engine")
    job = lab.job()
    (run,) = lab.runs(job, {"SS": 1})
    with pytest.raises(ValueError, match="time zone"):
        lab.catalog.update_runs([{"id": run, "started_at": datetime.now()}])


CROWD = """
import os, sys
from data.store import open_store
catalog = open_store(sys.argv[1]).catalog
won = 0
for number in range(40):
    won += catalog.claim_job(number + 1, os.getpid(), 0.0, "host")
    catalog.heartbeat(number + 1, number, 40, 1.0, "going")
    catalog.runs("study")
    (run,) = catalog.start_runs(1, "study", [("SS", number, {})], 1, "cpu")
    catalog.update_runs([{"id": run, "status": "done"}])
print(won)
"""


@pytest.mark.slow
def test_a_crowd_of_processes_meets_no_lock_error(lab: Lab) -> None:
    for _ in range(40):
        lab.job()
    command = [sys.executable, "-W", "error", "-c", CROWD, str(lab.store.root)]
    crowd = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    answers = [process.communicate(timeout=120) for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 4, answers
    assert sum(int(said) for said, _ in answers) == 40
    assert len(lab.catalog.runs(current=False)) == 160
    assert len(lab.catalog.runs()) == 40


def test_states_of_runs_are_those_of_the_runs_that_count(lab: Lab) -> None:
    first, second = lab.job(), lab.job("other")
    lab.runs(first, {"SS": 2, "RR": 1})
    ids = lab.runs(second, {"SS": 1}, "other")
    again = lab.runs(lab.job(), {"SS": 1})
    lab.catalog.archive_runs([1])
    lab.catalog.delete_runs([3])
    lab.catalog.update_runs([{"id": again[0], "status": "done"}])
    for name in ("study", "other", None):
        runs = {run.id: run for run in lab.catalog.runs(name, archived=True)}
        states = lab.catalog.run_states(name)
        assert [state.id for state in states] == sorted(runs)
        for state in states:
            assert state == tuple(getattr(runs[state.id], field) for field in state._fields)
    assert [state.study for state in lab.catalog.run_states("other")] == ["other"] * len(ids)
