"""kill -9 of a writing process at any moment: every acknowledged row is there, once, and nothing else changed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.store import open_store
from data.traces import recover
from tests.data.conftest import Lab
from tests.data.crash_child import ROWS, value

REPOSITORY = Path(__file__).parents[2]


class Killer:
    """The process that forks writers, and the knowledge of how they ended."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.data.crash_child", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )

    def start(self, job: int, flushes: int, pause: float = 0.0, moment: int = 0) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{job} {flushes} {pause} {moment}\n")
        self.process.stdin.flush()
        return self._number()

    def ended(self) -> int:
        return self._number()

    def _number(self) -> int:
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def acknowledged(self) -> int:
        path = Path(f"{self.root}.acknowledged")
        text = path.read_text() if path.exists() else ""
        path.unlink(missing_ok=True)
        return int(text or 0)


@pytest.fixture
def killer(lab: Lab) -> Iterator[Killer]:
    killer = Killer(lab.store.root)
    yield killer
    killer.process.communicate(timeout=60)


def files_of(lab: Lab, job: int) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in lab.store.segments.glob(f"{job}-*")}


def check(lab: Lab, runs: list[int], acknowledged: int) -> int:
    """Hold the rows of a study to be at least those acknowledged, each once and right; return how many."""
    frame = lab.traces.frame("study", ["loss"])
    assert len(frame) >= acknowledged
    assert len(frame) % ROWS == 0
    per_run = len(frame) // len(runs)
    for run, block in frame.groupby("run"):
        assert block["step"].tolist() == list(range(per_run))
        assert block["loss"].tolist() == [value(int(run), step) for step in range(per_run)]
    assert lab.traces.version("study")
    return len(frame)


def after(lab: Lab, job: int, runs: list[int], acknowledged: int) -> None:
    seen = check(lab, runs, acknowledged)
    fresh = open_store(lab.store.root)
    fresh.close()
    assert recover(lab.store, job) == seen
    assert check(lab, runs, acknowledged) == seen
    assert not (lab.store.journals / str(job)).exists()
    counted = [Path(segment.path).name for segment in lab.catalog.segments([job])]
    assert len(counted) == (1 if seen else 0)
    assert [path.name for path in lab.store.segments.glob(f"{job}-*")] == counted
    assert not list(lab.store.segments.glob("*.tmp*"))


@pytest.mark.slow
def test_killed_at_random_moments(lab: Lab, killer: Killer) -> None:
    other = lab.job("other")
    lab.write(
        other, lab.runs(other, {"A": 2}, "other"), {"loss": np.random.default_rng(0).normal(size=(2, 50))}
    )
    untouched, rows = files_of(lab, other), lab.traces.table("other", ["loss"])
    lab.job()
    runs: list[int] = []
    chance = random.Random(0)
    whole = 0.0
    for trial in range(22):
        job = lab.job()
        lab.catalog.delete_runs(runs)
        runs = lab.catalog.start_runs(job, "study", [("A", seed, {}) for seed in range(4)], 1, "cpu")
        child = killer.start(job, flushes=60, pause=0.001)
        begun = time.monotonic()
        if trial == 0:  # how long one takes that is left alone, to know when to kill the others
            assert killer.ended() == 0
            whole = time.monotonic() - begun
            assert killer.acknowledged() == lab.traces.count("study") == 60 * ROWS
            continue
        time.sleep(chance.uniform(0.05, whole))
        os.kill(child, signal.SIGKILL)
        killer.ended()
        after(lab, job, runs, killer.acknowledged())
        assert files_of(lab, other) == untouched
    assert lab.traces.table("other", ["loss"]).equals(rows)


@pytest.mark.slow
def test_killed_before_every_change_of_a_file(lab: Lab, killer: Killer) -> None:
    runs: list[int] = []
    for moment in range(1, 200):
        job = lab.job()
        lab.catalog.delete_runs(runs)
        runs = lab.catalog.start_runs(job, "study", [("A", seed, {}) for seed in range(4)], 1, "cpu")
        killer.start(job, flushes=16, moment=moment)
        status = killer.ended()
        acknowledged = killer.acknowledged()
        if status == 0:
            assert acknowledged == check(lab, runs, acknowledged) == 16 * ROWS
            break
        assert status == -signal.SIGKILL
        after(lab, job, runs, acknowledged)
    assert moment > 20, "the writer was not killed in its seals and its merge"


@pytest.mark.slow
def test_a_writer_goes_on_where_a_killed_one_ended(lab: Lab, killer: Killer) -> None:
    job = lab.job()
    runs = lab.runs(job, {"A": 4})
    rows = 0
    for moment in (3, 11, 17, 5, 0):
        killer.start(job, flushes=12, moment=moment)
        killer.ended()
        rows = max(rows, killer.acknowledged())
        rows = check(lab, runs, rows)
    assert rows >= 12 * ROWS
    after(lab, job, runs, rows)
