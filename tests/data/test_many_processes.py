"""Several writers and readers on one store for some seconds: no error, no missing row, no double one."""

import subprocess
import sys
from pathlib import Path

import pytest

from data.catalog import MetricRow
from tests.data.conftest import Lab

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.both_catalogues

WRITER = """
import os, sys, time
import numpy as np
from data.store import open_store
from data.traces import TraceWriter
root, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
store = open_store(root)
end = time.monotonic() + seconds
total = 0
while time.monotonic() < end:
    job = store.catalog.create_job("train", "study", {}).id
    assert store.catalog.claim_job(job, os.getpid(), 0.0, "here")
    arm = f"writer{seed}-job{job}"
    runs = np.array(store.catalog.start_runs(job, "study", [(arm, s, {}) for s in range(4)], 1000, "cpu"))
    with TraceWriter(store, job, ["loss", f"only{seed}"], seal_bytes=30_000) as writer:
        for step in range(60):
            steps = np.repeat(np.arange(5 * step, 5 * step + 5), 4)
            which = np.tile(runs, 5)
            loss = (which * 7 + steps).astype(float)
            writer.write(which, steps, steps / 10, steps / 4, {"loss": loss, f"only{seed}": loss})
            rows = writer.flush()
            with open(f"{root}.rows/{job}", "w") as file:
                file.write(str(rows))
            store.catalog.heartbeat(job, step, 60, 1.0, "going")
            store.catalog.update_runs([{"id": int(run), "step": step} for run in runs])
        total += rows
    store.catalog.update_runs([{"id": int(run), "status": "done"} for run in runs])
    store.catalog.finish_job(job, "done")
print(total)
"""

READER = """
import os, sys, time
import numpy as np
from data.store import open_store
root, seconds = sys.argv[1], float(sys.argv[2])
store = open_store(root)
end = time.monotonic() + seconds
looks = 0
def acknowledged():
    found = {}
    for name in os.listdir(f"{root}.rows"):
        text = open(f"{root}.rows/{name}").read()
        found[int(name)] = int(text or 0)
    return found
before_total, version, length = 0, None, None
while time.monotonic() < end:
    told = acknowledged()
    first = store.traces.version("study")
    frame = store.traces.frame("study", ["loss"])
    jobs = {run.id: run.job for run in store.catalog.runs("study")}
    counts = frame.groupby("run").size()
    per_job = {}
    for run, count in counts.items():
        per_job[jobs[run]] = per_job.get(jobs[run], 0) + int(count)
    for job, rows in told.items():
        assert per_job.get(job, 0) >= rows, (job, rows, per_job.get(job, 0))
    steps, runs = frame["step"].to_numpy(), frame["run"].to_numpy()
    starts = np.concatenate([[0], np.cumsum(counts.to_numpy())])[:-1] if len(counts) else np.zeros(0, int)
    for run, count in counts.items():
        block = frame[frame["run"] == run]
        assert block["step"].tolist() == list(range(count)), (run, count)
        assert count % 5 == 0
        assert (block["loss"].to_numpy() == np.float32(run * 7) + np.arange(count)).all()
    assert len(frame) >= before_total
    if first == version:
        assert len(frame) >= length
    before_total, version, length = len(frame), first, len(frame)
    if len(frame):
        thinned = store.traces.thin("study", "loss", points=20)
        assert thinned.total >= len(frame)
        bands = store.traces.bands("study", "loss")
        assert (bands["n"] + bands["n_nonfinite"] == 4).all(), bands
        assert store.traces.count("study") >= len(frame)
    looks += 1
print(looks)
"""


@pytest.mark.slow
def test_writers_and_readers_at_once(lab: Lab) -> None:
    lab.study()
    lab.catalog.save_metrics("study", [MetricRow("study", "loss", "Loss", "nats", "f", "s", True)])
    root = str(lab.store.root)
    Path(f"{root}.rows").mkdir()
    seconds = "6"

    def start(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", code, root, seconds, *arguments]
        return subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    writers = [start(WRITER, str(number)) for number in range(3)]
    readers = [start(READER) for _ in range(2)]
    answers = [process.communicate(timeout=180) for process in [*writers, *readers]]
    for process, (_, errors) in zip([*writers, *readers], answers, strict=True):
        assert process.returncode == 0, errors
    written = sum(int(said) for said, _ in answers[:3])
    assert lab.traces.count("study") == written > 0
    assert all(int(said) > 0 for said, _ in answers[3:])
    jobs = lab.catalog.jobs("study")
    assert {job.status for job in jobs} == {"done"}
    assert len(lab.catalog.segments([job.id for job in jobs])) == len(jobs)
    assert list(lab.store.journals.iterdir()) == []
    assert len(list(lab.store.segments.iterdir())) == len(jobs)
