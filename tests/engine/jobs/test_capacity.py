import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import LabError
from data.store import Store
from engine.jobs import capacity as module
from engine.jobs import launching, queue
from engine.jobs.capacity import ALL, KEPT, VISIBLE, capacity, environment, gpus, kept_gpu, see_free_gpu
from engine.jobs.processes import me


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VISIBLE, KEPT, ALL, "DETOUR_JOBS_GPUS", "DETOUR_JOBS_AT_ONCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module, "_found", lambda: 0)


def test_half_of_the_cores_work_at_least_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, most in ((1, 2), (2, 2), (16, 8)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert capacity() == (most, ())
    monkeypatch.setenv("DETOUR_JOBS_AT_ONCE", "5")
    assert capacity().jobs == 5
    assert capacity(3).jobs == 3
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "ray")
    assert capacity() == (0, ())


@pytest.mark.parametrize(
    ("found", "asked", "visible", "there"),
    [
        (0, None, None, {}),
        (3, None, None, {0: "0", 1: "1", 2: "2"}),
        (3, "2", None, {0: "0", 1: "1"}),
        (0, "2", None, {0: "0", 1: "1"}),
        (3, "0", None, {}),
        (8, None, "2,5", {2: "2", 5: "5"}),
        (8, "1", "2,5", {2: "2"}),
        (8, None, "", {}),
        (8, None, "GPU-8f1a,GPU-77c0", {0: "GPU-8f1a", 1: "GPU-77c0"}),
    ],
)
def test_the_gpus_of_jobs_are_those_that_this_process_may_see(
    found: int, asked: str | None, visible: str | None, there: dict[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_found", lambda: found)
    for name, value in (("DETOUR_JOBS_GPUS", asked), (VISIBLE, visible)):
        if value is not None:
            monkeypatch.setenv(name, value)
    assert gpus() == there
    for gpu in (*there, None):
        told = environment(gpu)
        assert told[KEPT] == ("" if gpu is None else str(gpu))
        assert (VISIBLE in told) == bool(there or asked == "0")
        if VISIBLE in told:
            assert told[VISIBLE] == ("" if gpu is None else there[gpu])
        with monkeypatch.context() as child:
            for name, value in told.items():
                child.setenv(name, value)
            assert gpus() == there  # who is shown one GPU still knows of all
            assert kept_gpu() == gpu


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    module._found.cache_clear()
    told = "GPU 0: NVIDIA H100 (UUID: GPU-1)\n  MIG 1g.10gb Device 0\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n"
    asking = tmp_path / "nvidia-smi"
    asking.write_text(f"#!/bin/sh\nprintf '{told}'\n")
    asking.chmod(asking.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "no driver")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert module._found() == 2
    module._found.cache_clear()
    for card in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / "gpus" / card).mkdir(parents=True)
    monkeypatch.setattr(module, "_DRIVER", tmp_path / "gpus")
    assert module._found() == 3
    module._found.cache_clear()


def test_each_job_sees_its_own_gpu_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teller = tmp_path / "python"
    teller.write_text(f'#!/bin/sh\necho "sees [${VISIBLE}]"\nexec sleep 600\n')
    teller.chmod(teller.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setattr(sys, "executable", str(teller))
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "process")
    monkeypatch.setenv("DETOUR_JOBS_GPUS", "2")
    monkeypatch.setenv("DETOUR_JOBS_AT_ONCE", "9")
    started: dict[int, subprocess.Popen[bytes]] = {}
    try:
        jobs = [queue.submit(store, "train", "s", {"device": device}) for device in ("auto", "cuda", "auto")]
        jobs.append(queue.submit(store, "fit", "s", {}))
        started = dict(launching._started)
        assert [store.catalog.job(id).gpu for id in jobs] == [0, 1, None, None]
        assert jobs[2] not in started
        (waits,) = queue.line(store)
        assert waits.job.id == jobs[2]
        assert "every GPU" in waits.why
        for id, seen in ((jobs[0], "0"), (jobs[1], "1"), (jobs[3], "")):
            log, deadline = store.logs / f"{id}.log", time.monotonic() + 30
            while not log.read_text() and time.monotonic() < deadline:
                time.sleep(0.02)
            assert log.read_text() == f"sees [{seen}]\n"
        queue.stop(store, jobs[1])
        assert jobs[2] in [id for id, _ in queue.pump(store)]
        assert store.catalog.job(jobs[2]).gpu == 1
    finally:
        for process in (started | launching._started).values():
            process.kill()
            process.wait()


def test_the_foreground_takes_a_free_gpu_or_says_that_there_is_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETOUR_JOBS_GPUS", "2")
    for name in (VISIBLE, KEPT, ALL):
        monkeypatch.setenv(name, "")  # so that what is set below is taken back at the end
        monkeypatch.delenv(name)
    spec = {"device": "auto", "arms": ["A"], "seeds": [0]}
    store.catalog.create_job("train", "s", spec, me(), gpu=0)
    assert see_free_gpu(store.root, {"device": "cpu"}) is None
    assert VISIBLE not in os.environ
    gpu = see_free_gpu(store.root, spec)
    assert (gpu, os.environ[VISIBLE]) == (1, "1")
    store.catalog.create_job("train", "s", spec, me(), gpu)
    with pytest.raises(LabError, match=r"all 2 GPUs.*--queue.*--device cpu"):
        see_free_gpu(store.root, spec)
    assert see_free_gpu(store.root / "none", spec) == 0
