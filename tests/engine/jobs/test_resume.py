"""Going on: whatever ended a training, with `resume` it has the rows and weights of one that never ended."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.api.types import is_numeric_dtype

from data import checkpoints
from data.errors import LabError
from data.journal import read_journal
from data.recovery import job_journals
from data.store import Store, open_store
from engine.jobs import queue, train
from engine.jobs.worker import Stop, carry_out, me
from engine.studies import Arm, Study

ROOT = Path(__file__).resolve().parents[3]

TINY = Study(
    name="tiny",
    title="Tiny",
    claim="Nothing.",
    dataset="digits",
    model="linear-network",
    model_settings={"width": 4, "depth": 2, "norm": "batch"},
    arms=(
        Arm("SS", "SS"),
        Arm("RR", "RR", training={"epochs": 1, "optimizer": "adam", "lr": 0.01}),
        Arm("wild", "RR", {"norm": "none"}, training={"lr": 3.0, "momentum": 0.9}),
    ),
    epochs=2,
    batch_size=64,
    momentum=0.5,
    dtype="float64",
    evaluate_every=2,
    checkpoints=(0, 8),
    cadence={"test_loss": 16},
    stop_below={"full_batch_risk": 1.14},
)


def finished(store: Store) -> dict[str, Any]:
    """Return all that a training leaves which must not depend on how often it was interrupted."""
    (study,) = (row.name for row in store.catalog.studies())
    path = store.root / "all.parquet"
    store.traces.export(study, path)
    frame = pd.read_parquet(path).drop(columns="seconds")
    runs = {row.id: row for row in store.catalog.runs(study)}
    return {
        "rows": {
            name: column.to_numpy().tobytes() for name, column in frame.items() if is_numeric_dtype(column)
        },
        "keys": frame[["study", "arm", "seed", "step"]].to_numpy().tolist(),
        "runs": [
            (
                *(row.arm, row.seed, row.status, row.step, row.steps, repr(row.finals), row.diverged_at),
                *(row.diverged_what, row.converged_at, row.converged_what),
            )
            for row in runs.values()
        ],
        "weights": sorted(
            (row.step, [(runs[run].arm, runs[run].seed) for run in row.runs], row.sha256)
            for row in store.catalog.checkpoints(1, "weights")
        ),
        "states": store.catalog.checkpoints(1, "state"),
        "result": {
            name: value for name, value in (store.catalog.job(1).result or {}).items() if name != "seconds"
        },
    }


def begin(store: Store, study: Study, monkeypatch: pytest.MonkeyPatch, seeds: int = 2) -> int:
    monkeypatch.setattr(train, "study", lambda name: study)
    spec = {"study": study.name, "arms": [], "seeds": list(range(seeds)), "device": "cpu"}
    return store.catalog.create_job("train", study.name, spec | {"checkpoint_seconds": 0.0}, me()).id


def go_on(store: Store, id: int, progress: Callable[[int], bool]) -> str:
    """Work at a job in this process until it ends, and return how."""

    class Beat:
        def __init__(self, *_: object) -> None:
            pass

        def __call__(self, step: int, steps: int, message: str = "") -> bool:
            return progress(step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.jobs.worker.Heartbeat", Beat)
        try:
            return carry_out(store, store.catalog.job(id), Stop()).status
        except KeyboardInterrupt:
            return store.catalog.job(id).status


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    store = open_store(tmp_path_factory.mktemp("uninterrupted") / "lab", create=True)
    with pytest.MonkeyPatch.context() as patch:
        assert go_on(store, begin(store, TINY, patch), lambda step: False) == "done"
    told = finished(store)
    store.close()
    return told


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
        calls = iter(range(chance.randrange(2, 8)))

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


@pytest.mark.parametrize("lost", ["newest", "all"])
def test_damaged_states_cost_time_only(
    lost: str, store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    assert go_on(store, id, lambda step: step >= 50) == "stopped"
    rows = store.catalog.checkpoints(id, "state")
    for row in rows:
        later = any(other.stack == row.stack and other.id > row.id for other in rows)
        if lost == "all" or not later:
            (store.root / row.path).write_bytes(b"damaged")
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    assert finished(store) == uninterrupted


@pytest.mark.parametrize("moment", [3, 6])
def test_a_full_disk_fails_the_training_and_leaves_it_resumable(
    moment: int, store: Store, uninterrupted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    id = begin(store, TINY, monkeypatch)
    left = [moment]

    def put_in_place(aside: Path, path: Path) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        aside.replace(path)

    monkeypatch.setattr(checkpoints, "put_in_place", put_in_place)
    with pytest.raises(LabError, match="disk is full"):
        go_on(store, id, lambda step: False)
    job = store.catalog.job(id)
    assert (job.status, job.error and job.error["title"]) == ("failed", "The disk is full")
    assert {row.status for row in store.catalog.runs("tiny")} == {"failed"}
    queue.requeue(store, id, me())
    assert go_on(store, id, lambda step: False) == "done"
    assert finished(store) == uninterrupted


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


COMMON = (
    "--checkpoint-seconds",
    "0",
    "--arms",
    "SS,RR",
    "--seeds",
    "3",
    "--set",
    "epochs=5",
    "--set",
    "model.width=8",
)
CONFIGURATIONS = {
    "momentum": ("--set", "momentum=0.9"),
    "adam": ("--set", "optimizer=adam", "--set", "dtype=float64"),
}


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "engine", "--store", str(root), "--json", *words]


def acknowledged(store: Store) -> int:
    """Return the rows of job 1 on the disk."""
    while True:
        sealed = sum(row.rows for row in store.catalog.segments([1]))
        parts = {row.part for row in store.catalog.segments([1])}
        try:
            live = [
                read_journal(path) for part, path in job_journals(store.journals / "1") if part not in parts
            ]
        except FileNotFoundError:
            continue
        return sealed + sum(table.num_rows for table in live)


def trained_and_killed(configuration: str, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Train twice, once killed at five random steps, and return what the two leave."""
    settings = (*COMMON, "--set", "evaluate_every=8", *CONFIGURATIONS[configuration])
    words = ("train", "digits-shuffling", *settings)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def begin(root: Path, *words: str) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen(command(root, *words), cwd=ROOT, env=environment, stdout=pipe, stderr=pipe)

    root, total, chance = folder / "killed", 6 * 161, random.Random(configuration)
    store = open_store(root, create=True)
    killed, rows = 0, 0
    while True:
        # So that two sevenths at least are left for the last attempt.
        target = rows + 1 + chance.randrange((total - rows) // (7 - killed)) if killed < 5 else total + 1
        process = begin(root, *(("resume", "1") if store.catalog.jobs() else words))
        while process.poll() is None and acknowledged(store) < target:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=300)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, err.decode()
        killed += 1
        rows, before = acknowledged(store), rows
        assert rows >= before
        newest = store.catalog.checkpoints(1, "state")[-1:]
        if killed % 2 and newest:  # so that the one before must do, and more is retraced
            (store.root / newest[0].path).write_bytes(b"damaged")
    assert killed == 5
    assert store.catalog.job(1).spec["resumed"] >= 4  # all but perhaps the first began to train
    told, _ = begin(folder / "whole", *words).communicate(timeout=300)
    assert json.loads(out) | {"seconds": 0} == json.loads(told) | {"seconds": 0}
    whole = open_store(folder / "whole")
    both = finished(store), finished(whole)
    assert len(both[0]["keys"]) == total
    store.close()
    whole.close()
    return both


@pytest.mark.slow
def test_killed_at_ten_random_steps_it_ends_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        folders = [tmp_path / name for name in CONFIGURATIONS]
        for killed, whole in pool.map(trained_and_killed, CONFIGURATIONS, folders):
            assert killed == whole
            assert {status for _, _, status, *_ in killed["runs"]} == {"done"}
            assert len(killed["weights"]) == 1
