import math

import pytest

from data.store import open_store
from engine.jobs import train
from engine.studies import study

SMALL = {"epochs": "1", "model.width": "8", "evaluate_every": "8"}


@pytest.fixture
def store(tmp_path):
    opened = open_store(tmp_path / "lab", create=True)
    yield opened
    opened.close()


def started(store, arms=("SS", "RR no BN"), **overrides):
    settings = SMALL | overrides
    wanted = study("digits-shuffling").override(settings)
    spec = {
        "study": "digits-shuffling",
        "overrides": settings,
        "arms": list(arms),
        "seeds": [0, 5],
        "device": "cpu",
    }
    return store.catalog.create_job("train", wanted.name, spec), wanted


def test_a_training_writes_every_row_of_every_run(store):
    job, wanted = started(store)
    told = []

    def progress(step, steps, message=""):
        told.append((step, steps))
        return False

    ending = train.run(store, job.id, progress)
    assert ending.status == "done"
    assert (ending.result["runs"], ending.result["diverged"], ending.result["rows"]) == (4, 0, 4 * 33)
    assert told[-1] == (4 * 32, 4 * 32)
    names = store.traces.metrics(wanted.name)
    frame = store.traces.frame(wanted.name, names)
    assert len(frame) == 4 * 33
    assert frame.full_batch_risk.count() == 4 * 5
    assert {run.status for run in store.catalog.runs(wanted.name)} == {"done"}
    for run in store.catalog.runs(wanted.name):
        mine = frame[(frame.arm == run.arm) & (frame.seed == run.seed)]
        assert list(mine.step) == list(range(33))
        assert run.step == 32
        last = {name: mine[name].dropna().iloc[-1] for name in names if mine[name].notna().any()}
        assert run.finals == pytest.approx(last, rel=1e-6)
        assert run.config["ordering"] == run.arm[:2]
        assert run.config["model.norm"] == ("none" if "no BN" in run.arm else "batch")
    described = {row.name: row for row in store.catalog.metrics(wanted.name)}
    assert set(store.traces.metrics(wanted.name)) <= set(described)
    assert described["full_batch_risk"].unit == "nats"


def test_a_training_that_is_stopped_keeps_its_rows(store):
    job, wanted = started(store)
    ending = train.run(store, job.id, lambda step, steps, message="": step >= 32)
    assert ending.status == "stopped"
    assert store.traces.count(wanted.name) == ending.result["rows"] > 0
    assert {run.status for run in store.catalog.runs(wanted.name)} == {"stopped"}


def test_a_run_without_an_end_has_no_final_level(store):
    job, wanted = started(store)
    train.run(store, job.id, lambda *_: False)
    first, second, *rest = store.catalog.runs(wanted.name)
    before = store.traces.last(wanted.name, ["own_batch_risk"]).set_index("run")["value"]
    assert before.notna().all()
    changes = [{"id": first.id, "status": "diverged"}, {"id": second.id, "status": "stopped"}]
    store.catalog.update_runs(changes)
    ends = store.traces.last(wanted.name, ["own_batch_risk"]).set_index("run")["value"]
    assert ends[[first.id, second.id]].isna().all()
    assert all(ends[run.id] == before[run.id] for run in rest)


def test_divergence_is_recorded_with_its_step_and_value(store):
    job, wanted = started(store, arms=["RR no BN"], lr="1e30")
    ending = train.run(store, job.id, lambda *_: False)
    assert ending.status == "done"
    assert ending.result["diverged"] == 2
    frame = store.traces.frame(wanted.name, ["batch_loss"])
    for run in store.catalog.runs(wanted.name):
        assert run.status == "diverged"
        last = frame[frame.seed == run.seed].iloc[-1]
        assert last.step == run.diverged_at == run.step
        assert not math.isfinite(last.batch_loss)
        assert run.diverged_what.startswith("batch_loss is ")
