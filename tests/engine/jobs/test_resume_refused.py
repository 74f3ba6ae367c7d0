"""What can not go on is refused and left as it is; what another version began goes on and says so."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from data import checkpoints
from data.errors import LabError
from data.store import Store
from engine.jobs import queue, train
from engine.jobs.worker import me
from engine.studies import Study
from tests.engine.jobs.resuming import TINY, begin, go_on


def test_what_cannot_go_on_is_refused_and_nothing_is_changed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    with pytest.raises(LabError, match="is running"):
        queue.requeue(store, id)
    assert go_on(store, id, lambda step: step >= 12) == "stopped"
    before = store.catalog.job(id)

    monkeypatch.setattr(train, "study", lambda name: Study(**{**vars(TINY), "lr": 0.2}))
    with pytest.raises(LabError, match="another lr"):
        train.require_resumable(store, id)
    monkeypatch.setattr(train, "study", lambda name: TINY)
    store.catalog.update_runs([{"id": row.id, "device": "cuda"} for row in store.catalog.job_runs(id)])
    if not train.torch.cuda.is_available():
        with pytest.raises(LabError, match="begun on a GPU"):
            train.require_resumable(store, id)
    store.catalog.update_runs([{"id": row.id, "device": "cpu"} for row in store.catalog.job_runs(id)])
    train.require_resumable(store, id)
    assert store.catalog.job(id) == before

    strangers = store.catalog.create_job("fit", "tiny", {}).id
    store.catalog.request_stop(strangers)
    with pytest.raises(LabError, match="Only a training"):
        queue.requeue(store, strangers)
    with pytest.raises(LabError, match="no job 99"):
        queue.resume(store, 99)
    assert queue.requeue(store, id).status == "queued"
    for again in (queue.requeue, queue.resume):
        with pytest.raises(LabError, match="is queued"):
            again(store, id)
    queue.stop(store, id)
    assert store.catalog.job(id).status == "stopped"
    assert {row.status for row in store.catalog.runs("tiny")} >= {"stopped"}
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    with pytest.raises(LabError, match="is done"):
        queue.requeue(store, id)


def test_states_of_other_runs_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = begin(store, TINY, monkeypatch)
    assert go_on(store, id, lambda step: step >= 12) == "stopped"
    row = store.catalog.checkpoints(id, "state")[-1]
    tensors = checkpoints.load(store, row)
    checkpoints.save(store, id, "state", row.step, [*row.runs, 99], tensors, stack=row.stack)
    queue.requeue(store, id, me())
    with pytest.raises(LabError, match="other runs"):
        go_on(store, id, lambda step: False)
    assert store.catalog.job(id).status == "failed"


def test_a_training_of_an_older_version_that_kept_no_states_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    store.catalog.save_study("tiny", "T", "c", TINY.config(), "engine")
    store.catalog.start_runs(id, "tiny", [("SS", 0, {})], 10, "cpu")
    store.catalog.finish_job(id, "stopped", runs="stopped")
    with pytest.raises(LabError, match="kept no states"):
        train.require_resumable(store, id)


def test_another_version_goes_on_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    id = begin(store, TINY, monkeypatch)
    assert go_on(store, id, lambda step: step >= 12) == "stopped"
    began = store.catalog.job(id).spec["code_version"]
    queue.requeue(store, id, me())
    monkeypatch.setattr(train, "code_version", lambda: "99")
    heard = []
    train.run(store, id, lambda step, steps, message="": bool(heard.append(message)))
    assert f"begun with version {began}" in heard[-1]
    assert f"99: its bits may differ from those of {began}" in caplog.text


def test_data_that_changed_are_refused_by_the_next_training_and_by_a_resume(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.npz"

    def save(seed: int) -> str:
        X = np.random.default_rng(seed).normal(size=(96, 5))
        parts = {"train_inputs": X[:64], "test_inputs": X[64:], "test_targets": (X[64:, 0] > 0).astype(int)}
        np.savez(path, train_targets=(X[:64, 0] > 0).astype(int), **parts)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    mine = dataclasses.replace(TINY, dataset="npz", dataset_settings={"path": str(path)}, batch_size=8)
    first = save(0)
    id = begin(store, mine, monkeypatch)
    assert go_on(store, id, lambda step: step >= 8) == "stopped"
    assert store.catalog.job(id).spec["data_sha256"] == first
    train.require_resumable(store, id)
    before = store.catalog.job(id), store.catalog.runs("tiny")
    other = save(1)
    told = f"SHA-256 {first} when job {id} trained `tiny`; now it has {other}"
    with pytest.raises(LabError, match=told) as refused:
        train.require_resumable(store, id)
    assert "another path" in refused.value.remedy
    again = begin(store, mine, monkeypatch)
    with pytest.raises(LabError, match=told):
        go_on(store, again, lambda step: False)
    assert (store.catalog.job(id), store.catalog.runs("tiny")) == before
    path.unlink()
    with pytest.raises(LabError, match="There is no"):
        train.require_resumable(store, id)
    assert save(0) == first
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
