"""kill -9 of a writing process at any moment: every acknowledged row is there once, nothing else changed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.catalog import MetricRow
from data.store import open_store
from data.traces import recover
from tests.data.conftest import Lab
from tests.data.crash_child import ROWS, value

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.both_catalogues


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

    def write(
        self, job: int, flushes: int, pause: float = 0.0, moment: int = 0, kill_after: float = 0.0
    ) -> int:
        """Let a writer write, and return its exit status once it ended or was killed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{job} {flushes} {pause} {moment} {kill_after}\n")
        self.process.stdin.flush()
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


def attempt(lab: Lab, former: list[int]) -> tuple[int, list[int]]:
    """Begin a new job whose four runs are the only ones of the study that count."""
    job = lab.job()
    lab.catalog.save_metrics("study", [MetricRow("study", "loss", "Loss", "nats", "f", "s", True)])
    lab.catalog.delete_runs(former)
    return job, lab.runs(job, {"A": 4})


@pytest.mark.slow
def test_killed_at_random_moments(lab: Lab, killer: Killer) -> None:
    other = lab.job("other")
    values = np.random.default_rng(0).normal(size=(2, 50))
    lab.write(other, lab.runs(other, {"A": 2}, "other"), {"loss": values})
    untouched, rows = files_of(lab, other), lab.traces.table("other", ["loss"])
    chance = random.Random(0)
    runs: list[int] = []
    for _ in range(2):  # two that are left alone, to know when to kill the others; the first starts slowly
        job, runs = attempt(lab, runs)
        begun = time.monotonic()
        assert killer.write(job, flushes=30) == 0
        whole = time.monotonic() - begun
    assert killer.acknowledged() == lab.traces.count("study") == 30 * ROWS
    killed = 0
    for _ in range(60):
        job, runs = attempt(lab, runs)
        status = killer.write(job, flushes=30, kill_after=chance.uniform(0.1 * whole, 0.9 * whole))
        killed += status == -signal.SIGKILL
        assert status in (0, -signal.SIGKILL)
        after(lab, job, runs, killer.acknowledged())
        assert files_of(lab, other) == untouched
        if killed == 10:
            break
    assert killed == 10
    assert lab.traces.table("other", ["loss"]).equals(rows)


@pytest.mark.slow
def test_killed_before_every_change_of_a_file(lab: Lab, killer: Killer) -> None:
    runs: list[int] = []
    for moment in range(1, 200):
        job, runs = attempt(lab, runs)
        status = killer.write(job, flushes=8, moment=moment)
        acknowledged = killer.acknowledged()
        if status == 0:
            assert acknowledged == check(lab, runs, acknowledged) == 8 * ROWS
            break
        assert status == -signal.SIGKILL
        after(lab, job, runs, acknowledged)
    assert moment > 20, "the writer was not killed in its seals and its merge"


@pytest.mark.slow
def test_a_writer_goes_on_where_a_killed_one_ended(lab: Lab, killer: Killer) -> None:
    job, runs = attempt(lab, [])
    rows = 0
    for moment in (3, 11, 17, 5, 0):
        killer.write(job, flushes=12, moment=moment)
        rows = check(lab, runs, max(rows, killer.acknowledged()))
    assert rows >= 12 * ROWS
    after(lab, job, runs, rows)
