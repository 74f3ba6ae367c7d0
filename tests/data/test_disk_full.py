"""A disk that is full: one clear error, acknowledged rows stay, nothing half-done is left."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.conftest import Lab

REPOSITORY = Path(__file__).parents[2]

LIMITED = """
import resource, sys
import numpy as np
from data import checkpoints
from data.errors import LabError
from data.store import open_store
from data.traces import TraceWriter, recover
root, where = sys.argv[1], sys.argv[2]
store = open_store(root)
job = store.catalog.jobs("study")[0].id
runs = np.array([run.id for run in store.catalog.runs("study")])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
def write(writer, start, stop):
    steps = np.repeat(np.arange(start, stop), len(runs))
    which = np.tile(runs, stop - start)
    writer.write(which, steps, steps / 10, steps / 4, {"loss": steps * 1.0})
def refused(call):
    try:
        call()
    except LabError as error:
        assert error.title == "The disk is full", error
        assert error.message and error.remedy
        return
    raise SystemExit("nothing was refused")
writer = TraceWriter(store, job, ["loss"], seal_bytes=1 << 30)
write(writer, 0, 100)
assert writer.flush() == 200
if where == "append":
    limit(12_000)
    write(writer, 100, 2000)
    refused(writer.flush)
    assert writer.rows == 200
    assert store.traces.count("study") == 200
    limit(hard)
    assert writer.flush() == 4000
    writer.close()
elif where == "seal":
    before = sorted(path.name for path in store.segments.iterdir())
    limit(100_000)
    refused(writer.close)
    assert sorted(path.name for path in store.segments.iterdir()) == before
    assert store.traces.count("study") == 200
    limit(hard)
    assert recover(store, job) == 200
elif where == "checkpoint":
    writer.close()
    def weights(step):
        return {"weight": np.full((2, 50_000), float(step))}
    checkpoints.save(store, job, "state", 10, runs, weights(10), stack=0)
    before = sorted(path.name for path in store.checkpoints.iterdir())
    for size in (8192, 300_000):
        limit(size)
        refused(lambda: checkpoints.save(store, job, "state", 20, runs, weights(20), stack=0))
        limit(hard)
        assert sorted(path.name for path in store.checkpoints.iterdir()) == before
        ((row, found),) = checkpoints.states(store, job)
        assert (row.step, found["weight"].max()) == (10, 10)
    checkpoints.save(store, job, "state", 20, runs, weights(20), stack=0)
    assert checkpoints.states(store, job)[0][0].step == 20
elif where == "catalogue":
    before = store.catalog.studies()
    limit(8192)
    refused(lambda: store.catalog.save_study("big", "x" * 200_000, "c", {}, "engine"))
    refused(lambda: open_store(root + "-new", create=True))
    limit(hard)
    assert store.catalog.studies() == before
    store.catalog.save_study("big", "x" * 200_000, "c", {}, "engine")
    writer.close()
elif where == "export":
    writer.close()
    target = root + ".parquet"
    open(target, "w").write("older")
    for suffix in (".parquet", ".csv", ".duckdb"):
        limit(1000)
        refused(lambda: store.traces.export("study", root + suffix))
        limit(hard)
    assert open(target).read() == "older"
print(store.traces.count("study"))
"""


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("append", 4000),
        ("seal", 200),
        ("checkpoint", 200),
        pytest.param("catalogue", 200, marks=pytest.mark.sqlite),
        ("export", 200),
    ],
)
def test_refused_by_the_disk(lab: Lab, where: str, rows: int) -> None:
    job = lab.job()
    lab.runs(job, {"A": 2})
    command = [sys.executable, "-c", LIMITED, str(lab.store.root), where]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) == rows == lab.traces.count("study")
    frame = lab.traces.frame("study", ["loss"])
    assert frame["loss"].tolist() == list(range(rows // 2)) * 2
    assert not list(lab.store.segments.glob("*.tmp*"))
    root = lab.store.root
    left = {path.name for path in root.parent.iterdir()} - {root.name}
    assert left <= {root.name + ".parquet"}
