"""Checkpoints: whole or not there, one file for the same tensors, an older one behind a damaged one."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import checkpoints, migrations
from data.database_sqlite import revision_of
from data.errors import LabError
from data.recovery import recover
from data.store import open_store
from data.traces import TraceWriter
from tests.data.conftest import Lab
from tests.data.test_upgrading import older

REPOSITORY = Path(__file__).parents[2]


def tensors(seeds: int = 3, value: float = 1.0) -> dict[str, np.ndarray]:
    return {
        "weight": np.arange(seeds * 4, dtype=np.float32).reshape(seeds, 2, 2) * value,
        "bias": np.linspace(0, value, seeds)[:, None],
        "alive": np.ones(seeds, bool),
    }


def state(lab: Lab, job: int, step: int, stack: int = 0) -> checkpoints.CheckpointRow:
    content = tensors(value=float(step + 1)) | {"shared/step": np.array(step)}
    return checkpoints.save(lab.store, job, "state", step, [1, 2, 3], content, stack=stack)


def files(lab: Lab) -> set[str]:
    return {path.name for path in lab.store.checkpoints.iterdir()}


def test_what_was_saved_comes_back(lab: Lab) -> None:
    job = lab.job()
    content = tensors() | {
        "shared/step": np.array(7, dtype=np.int64),
        "order": np.arange(12).reshape(3, 4)[:, ::-1],
        "none": np.zeros((3, 0)),
        "odd": np.array([np.nan, -np.inf, -0.0]),
    }
    row = checkpoints.save(lab.store, job, "state", 7, np.array([4, 5, 6]), content, stack=2)  # type: ignore[arg-type]
    assert (row.job, row.kind, row.stack, row.step, row.runs) == (job, "state", 2, 7, [4, 5, 6])
    path = lab.store.root / row.path
    assert path.name == f"{hashlib.sha256(path.read_bytes()).hexdigest()}.safetensors"
    assert row.bytes == path.stat().st_size
    back = checkpoints.load(lab.store, row)
    assert back.keys() == content.keys()
    for name, array in content.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == np.ascontiguousarray(array).tobytes()


def test_the_same_content_is_one_file(lab: Lab) -> None:
    jobs = [lab.job(), lab.job()]
    content = tensors()
    rows = [checkpoints.save(lab.store, job, "weights", 5, [1, 2, 3], content) for job in jobs]
    rows.append(checkpoints.save(lab.store, jobs[0], "weights", 5, [7, 8, 9], content))
    rows.append(
        checkpoints.save(lab.store, jobs[0], "weights", 5, [1, 2, 3], dict(reversed(content.items())))
    )
    assert len({row.path for row in rows}) == len(files(lab)) == 1
    kept = lab.catalog.checkpoints(jobs[0])
    assert [row.runs for row in kept] == [[7, 8, 9], [1, 2, 3]]
    assert len(lab.catalog.checkpoints(jobs[1])) == 1


def test_the_last_two_states_of_each_stack_are_kept(lab: Lab) -> None:
    job, other = lab.job(), lab.job()
    same = state(lab, other, 0)
    for step in range(4):
        state(lab, job, step)
    state(lab, job, 0, stack=1)
    checkpoints.save(lab.store, job, "weights", 1, [1, 2, 3], tensors())
    kept = [(row.kind, row.stack, row.step) for row in lab.catalog.checkpoints(job)]
    assert kept == [("state", 0, 2), ("state", 0, 3), ("state", 1, 0), ("weights", None, 1)]
    # The file of step 0 stays: another stack and another job refer to it.
    assert len(files(lab)) == 4
    assert checkpoints.load(lab.store, same)["shared/step"] == 0
    checkpoints.drop_states(lab.store, job)
    assert [row.kind for row in lab.catalog.checkpoints(job)] == ["weights"]
    assert len(files(lab)) == 2
    checkpoints.drop_states(lab.store, job)


def test_a_damaged_state_gives_way_to_the_one_before(lab: Lab) -> None:
    job = lab.job()
    first, second = state(lab, job, 10), state(lab, job, 20)
    other = state(lab, job, 30, stack=1)

    def steps() -> list[int]:
        return [row.step for row, _ in checkpoints.states(lab.store, job)]

    assert steps() == [20, 30]
    path = lab.store.root / second.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert steps() == [10, 30]
    with pytest.raises(LabError, match="not what was saved"):
        checkpoints.load(lab.store, second)
    (lab.store.root / first.path).unlink()
    (lab.store.root / other.path).unlink()
    assert steps() == []
    with pytest.raises(LabError, match="No such file"):
        checkpoints.load(lab.store, first)
    again = state(lab, job, 10)
    assert steps() == [10]
    # Those saved last are kept, although a damaged one is of a later step.
    state(lab, job, 15)
    assert steps() == [15]
    assert again.step == 10
    state(lab, job, 20)
    assert path.read_bytes() == whole
    assert steps() == [20]


def test_weights_of_one_run(lab: Lab) -> None:
    job = lab.job()
    a, b, c = lab.runs(job, {"SS": 3})
    early, late = tensors(3), tensors(2, value=9.0)
    checkpoints.save(lab.store, job, "weights", 0, [a, b, c], early)
    checkpoints.save(lab.store, job, "weights", 40, [b], {"weight": np.ones((1, 2))})
    checkpoints.save(lab.store, job, "weights", 64, [c, a], late)
    assert [checkpoints.weight_steps(lab.store, run) for run in (a, b, c)] == [[0, 64], [0, 40], [0, 64]]
    step, found = checkpoints.weights(lab.store, a)
    assert step == 64
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value[1].tolist() for name, value in late.items()
    }
    step, found = checkpoints.weights(lab.store, c, 0)
    assert (step, found["weight"].tolist()) == (0, early["weight"][2].tolist())
    with pytest.raises(LabError, match="step 7 in the store") as caught:
        checkpoints.weights(lab.store, b, 7)
    assert "0, 40" in caught.value.remedy
    with pytest.raises(LabError, match="No weights were kept"):
        checkpoints.weights(lab.store, 99)
    assert checkpoints.weight_steps(lab.store, 99) == []


def test_what_is_refused(lab: Lab) -> None:
    job = lab.job()
    for kind, stack in (("state", None), ("weights", 0)):
        with pytest.raises(ValueError, match="`stack` must be given"):
            checkpoints.save(lab.store, job, kind, 0, [1, 2, 3], tensors(), stack)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="2 runs on their first axis"):
        checkpoints.save(lab.store, job, "weights", 0, [1, 2], tensors(3))
    with pytest.raises(ValueError, match="numbers"):
        checkpoints.save(lab.store, job, "weights", 0, [1], {"name": np.array(["x"])})
    assert lab.catalog.checkpoints(job) == []
    assert files(lab) == set()


def test_what_killed_writers_left_is_removed(lab: Lab) -> None:
    job, other = lab.job(), lab.job()
    kept = state(lab, job, 1)
    (lab.store.checkpoints / f"{job}-0123.tmp").write_bytes(b"half")
    (lab.store.checkpoints / f"{other}-0123.tmp").write_bytes(b"of a living job")
    (lab.store.checkpoints / f"{'0' * 64}.safetensors").write_bytes(b"never counted")
    recover(lab.store, job)
    assert files(lab) == {Path(kept.path).name, f"{other}-0123.tmp"}
    with TraceWriter(lab.store, other, ["loss"]):
        assert files(lab) == {Path(kept.path).name}


# Reads lines `JOB MOMENT` and forks a writer for each; everything is imported once.
KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from data import checkpoints, durable
from data.store import open_store
left = [0]
def counted(function):
    def call(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return call
Path.write_bytes = counted(Path.write_bytes)
Path.replace = counted(Path.replace)
Path.unlink = counted(Path.unlink)
durable.sync_folder = counted(durable.sync_folder)
checkpoints.sync_file = counted(checkpoints.sync_file)
def write(job):
    store = open_store(sys.argv[1])
    for step in range(1, 5):
        value = np.full((3, 4), float(step))
        checkpoints.save(store, job, "state", step, [1, 2, 3], {"weight": value}, stack=0)
        print(step, flush=True)
for line in sys.stdin:
    job, moment = map(int, line.split())
    child = os.fork()
    if child == 0:
        left[0], status = moment, 1
        try:
            write(job)
            status = 0
        finally:
            os._exit(status)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.slow
def test_killed_before_every_change_of_a_file(lab: Lab) -> None:
    command, pipe = [sys.executable, "-c", KILLED, str(lab.store.root)], subprocess.PIPE
    killer = subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True)
    assert killer.stdin is not None
    assert killer.stdout is not None
    for moment in range(1, 40):
        job, acknowledged = lab.job(), 0
        print(job, moment, file=killer.stdin, flush=True)
        while not (line := killer.stdout.readline()).startswith("ended"):
            acknowledged = int(line)
        status = int(line.split()[1])
        recover(lab.store, job)
        found = checkpoints.states(lab.store, job)
        assert [row.stack for row, _ in found] == ([0] if acknowledged else [0][: len(found)])
        for row, content in found:
            assert acknowledged <= row.step <= acknowledged + 1
            assert content["weight"].tolist() == [[row.step] * 4] * 3
        assert files(lab) == {
            Path(row.path).name for each in lab.catalog.jobs() for row in lab.catalog.checkpoints(each.id)
        }
        if status == 0:
            assert acknowledged == 4
            break
        assert status == -signal.SIGKILL
    killer.communicate(timeout=60)
    assert moment > 15


@pytest.mark.sqlite
def test_a_store_of_the_first_version_is_brought_up(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    older(root, "0001")
    os.rmdir(root / "checkpoints")
    os.rmdir(root / "uploads")
    job, run = 7, 9
    store = open_store(root)
    assert revision_of(root / "catalog.sqlite") == migrations.HEAD
    assert [(row.id, row.converged_at, row.converged_what) for row in store.catalog.runs()] == [
        (run, None, None)
    ]
    checkpoints.save(store, job, "weights", 0, [run], {"weight": np.ones((1, 2))})
    assert checkpoints.weights(store, run)[1]["weight"].tolist() == [1.0, 1.0]
    store.close()
