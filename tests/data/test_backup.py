"""A backup of a store that is written, and a store of a backup: whole, the same, or refused in words."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data import analyses, checkpoints, manifest, networks, tables
from data.arrays import to_bytes
from data.backup import back_up
from data.catalog_jobs import Process
from data.errors import LabError
from data.integrity import check
from data.manifest import read_manifest
from data.people import Person
from data.recovery import merge_segments
from data.restoring import restore
from data.store import Store, open_store
from data.traces import TraceWriter
from tests.data.conftest import Lab
from tests.data.crash_child import value
from tests.data.killing import Killer, killer  # noqa: F401  # a fixture

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def full(lab: Lab) -> Iterator[Lab]:
    """A store with one of everything, and a job that is writing."""
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    lab.write(job, runs, {"loss": np.arange(10.0).reshape(2, 5)})
    lab.catalog.finish_job(job, "done", runs="done")
    checkpoints.save(lab.store, job, "weights", 5, runs, {"w": np.ones((2, 3))})
    analyses.save(lab.store, "study", "latent", {"x": float("nan")}, {}, {"means": np.ones(3)})
    networks.keep(lab.store, to_bytes({"w": np.ones(3, np.float32)}), "net.safetensors")
    (lab.store.logs / f"{job}.log").write_text("begun\n")
    (lab.store.uploads / "half").mkdir()
    live = lab.catalog.create_job("train", "study", {}, Process(os.getpid(), 0.0, "here")).id
    writer = lab.write(live, lab.runs(live, {"RR": 1}), {"loss": np.ones((1, 5))}, live=True)
    lab.job()
    checkpoints.save(lab.store, live, "state", 5, [3], {"w": np.ones(3)}, stack=0)
    yield lab
    writer.close()


def rows(store: Store, except_for: tuple[str, ...] = ()) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of the catalogue but those of some tables."""
    found = {}
    with store.catalog.reading() as connection:
        for table in tables.metadata.sorted_tables:
            found[table.name] = sorted(map(tuple, connection.execute(table.select())), key=str)
    return {name: each for name, each in found.items() if name not in except_for}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_restored_store_is_the_store_at_rest(full: Lab, tmp_path: Path) -> None:
    made = back_up(full.store, tmp_path / "backup")
    done = restore(made.root, tmp_path / "again")
    assert done.manifest == made.manifest
    store = open_store(done.root)
    assert check(store) == []
    assert store.traces.table("study", ["loss"]).equals(full.traces.table("study", ["loss"]))
    changed = ("jobs", "runs", "segments")
    assert rows(store, changed) == rows(full.store, changed)
    assert [job.status for job in store.catalog.jobs()] == ["stopped", "stopped", "done"]
    assert {run.status for run in store.catalog.job_runs(2)} == {"stopped"}
    assert {run.status for run in store.catalog.job_runs(1)} == {"done"}
    assert not list(store.journals.iterdir())
    for name in ("checkpoints", "analyses", "networks", "logs"):
        assert contents(store.root / name) == contents(full.store.root / name)
    left = {path.name for path in store.root.iterdir() if path.is_file()}
    assert left - {"catalog.sqlite-shm", "catalog.sqlite-wal"} == {store.catalog.path.name}
    assert store.catalog.requeue_job(2)
    with TraceWriter(store, 2, ["loss"], retrace=True) as writer:  # resumed, as a training does
        writer.write([3] * 6, range(6), np.arange(6) / 10, np.arange(6) / 4, {"loss": np.ones(6)})
        assert writer.flush() == 6
    store.close()
    assert full.catalog.job(2).status == "running"


def test_a_backup_is_a_store_that_looking_does_not_change(full: Lab, tmp_path: Path) -> None:
    made = back_up(full.store, tmp_path / "backup")
    before = contents(made.root)
    store = open_store(made.root)
    assert store.traces.table("study", ["loss"]).equals(full.traces.table("study", ["loss"]))
    assert check(store) == []
    with pytest.raises(LabError, match="in use"):
        back_up(full.store, made.root)
    store.close()
    assert contents(made.root) == before
    assert read_manifest(made.root) == made.manifest
    store = open_store(made.root)
    store.catalog.note_run(1, "changed")
    store.close()
    for refused in (lambda: restore(made.root, tmp_path / "again"), lambda: back_up(full.store, made.root)):
        with pytest.raises(LabError, match="changed since"):
            refused()


def test_only_what_is_missing_is_copied(full: Lab, tmp_path: Path) -> None:
    first = back_up(full.store, tmp_path / "backup")
    assert first.copied == len(first.manifest.files) - 2  # the live rows are sealed, the catalogue written
    again = back_up(full.store, tmp_path / "backup")
    assert again.copied == 0
    checkpoints.save(full.store, 2, "state", 9, [3], {"w": np.zeros(3)}, stack=0)
    with (full.store.logs / "1.log").open("a") as log:
        log.write("more\n")
    third = back_up(full.store, tmp_path / "backup")
    assert third.copied == 2
    assert len(list(third.root.glob("backup-*.json"))) == 1
    names = {path.relative_to(third.root).as_posix() for path in third.root.glob("*/*")}
    assert names == set(third.manifest.files) - {"catalog.sqlite"}
    store = open_store(third.root)
    assert check(store) == []
    assert (store.logs / "1.log").read_text() == "begun\nmore\n"
    store.close()


def test_an_analysis_computed_again_does_not_spoil_the_former_backup(full: Lab, tmp_path: Path) -> None:
    first = back_up(full.store, tmp_path / "backup")
    (path,) = full.store.analyses.iterdir()
    path.write_bytes(to_bytes({"means": np.zeros(3)}))
    former = {name: (first.root / name).read_bytes() for name in first.manifest.files}
    made = back_up(full.store, tmp_path / "backup")
    store = open_store(made.root)
    (row,) = store.catalog.analyses()
    assert analyses.load(store, row)["means"].tolist() == [0, 0, 0]
    assert row.path not in former
    store.close()


def test_files_that_a_merge_takes_away_meanwhile(
    full: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = full.job()
    runs = full.runs(job, {"X": 1}, steps=10)
    for part in range(2):
        steps = np.arange(part * 5, part * 5 + 5)
        writer = full.write(job, runs, {"loss": steps[None] * 1.0}, steps, live=True)
        writer._seal()
        writer._lock.release()
    assert len(full.catalog.segments([job])) == 2
    copy, merged = manifest.copy_file, []

    def meddle(source: Path, *words: object) -> object:
        if not merged and source.name.startswith(f"{job}-"):
            merged.append(merge_segments(full.store, job))
        return copy(source, *words)  # type: ignore[arg-type]

    monkeypatch.setattr("data.backup.copy_file", meddle)
    made = back_up(full.store, tmp_path / "backup")
    assert merged
    assert made.manifest.damaged == []
    store = open_store(restore(made.root, tmp_path / "again").root)
    assert check(store) == []
    assert store.traces.count("study") == full.traces.count("study") == 25
    store.close()


def test_what_is_damaged_in_the_store_is_told_and_the_rest_is_kept(full: Lab, tmp_path: Path) -> None:
    (segment,) = full.catalog.segments([1])
    (weights,) = full.catalog.checkpoints(1, "weights")
    flip(full.store.root / segment.path)
    (full.store.root / weights.path).unlink()
    (strange,) = full.store.journals.glob("2/*.arrows")
    whole = strange.read_bytes()
    strange.write_bytes(b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"strange" * 100)
    made = back_up(full.store, tmp_path / "backup")
    assert [one.partition(":")[0] for one in made.manifest.damaged] == [
        "journals/2/0.arrows", weights.path, segment.path
    ]  # fmt: skip
    done = restore(made.root, tmp_path / "again")
    store = open_store(done.root)
    assert {one.path for one in check(store)} == {segment.path, weights.path}
    store.close()
    strange.write_bytes(whole)


def test_a_damaged_backup_is_refused_by_name_and_changes_nothing(full: Lab, tmp_path: Path) -> None:
    made = back_up(full.store, tmp_path / "backup")
    target = tmp_path / "lab2"
    open_store(target, create=True).close()
    before = contents(target)
    sound = contents(made.root)
    for name in [*made.manifest.files, next(made.root.glob("backup-*.json")).name]:
        flip(made.root / name)
        with pytest.raises(LabError) as raised:
            restore(made.root, target, replace=True)
        assert raised.value.title in (
            "The backup is damaged",
            "The backup's catalogue is not what was written",
        )
        if name in made.manifest.files:
            assert name in raised.value.message
        (made.root / name).write_bytes(sound[name])
    (made.root / "networks" / next((made.root / "networks").iterdir()).name).unlink()
    with pytest.raises(LabError, match="missing"):
        restore(made.root, target, replace=True)
    assert contents(target) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "lab", "lab2"]


def test_where_it_cannot_go(full: Lab, tmp_path: Path) -> None:
    made = back_up(full.store, tmp_path / "backup")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    other = Lab(open_store(tmp_path / "other", create=True))
    other.job()
    for target, why in (
        (tmp_path / "mine", "no place"),
        (full.store.root, "lie apart"),
        (full.store.root / "in", "lie apart"),
    ):
        with pytest.raises(LabError, match=why):
            back_up(full.store, target)
    with pytest.raises(LabError, match="another store"):
        back_up(other.store, made.root)
    with pytest.raises(LabError, match="Not allowed"):
        back_up(full.store.acting_as(Person("ada", "researcher")), tmp_path / "new")
    for target, replace, why in (
        (tmp_path / "mine", True, "something already"),
        (full.store.root, False, "something already"),
        (full.store.root, True, "using the store"),
        (made.root / "in", False, "lie apart"),
    ):
        with pytest.raises(LabError, match=why):
            restore(made.root, target, replace)
    if other.catalog.path.name == "catalog.sqlite":  # of a database it is not known who has it open
        with pytest.raises(LabError, match="in use"):
            restore(made.root, other.store.root, True)
    with pytest.raises(LabError, match="no backup"):
        restore(other.store.root, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    other.store.close()
    done = restore(made.root, other.store.root, True)
    assert done.former is not None
    former = open_store(done.former)
    assert len(former.catalog.jobs()) == 1
    former.close()


def test_a_store_whose_catalogue_is_damaged_is_replaced_unless_somebody_writes_it(
    full: Lab, tmp_path: Path
) -> None:
    made = back_up(full.store, tmp_path / "backup")
    target = tmp_path / "broken"
    restore(made.root, target)
    (target / "catalog.sqlite").write_bytes(b"nothing" * 1000)
    (target / "journals" / "2").mkdir()
    lock = (target / "journals" / "2" / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(LabError, match="using the store"):
        restore(made.root, target, replace=True)
    lock.close()
    assert restore(made.root, target, replace=True).former is not None
    store = open_store(target)
    assert check(store) == []
    store.close()


@pytest.mark.slow
def test_killed_while_backing_up(full: Lab, tmp_path: Path, killer: Killer) -> None:  # noqa: F811
    fresh, old = tmp_path / "fresh", tmp_path / "old"
    first = back_up(full.store, old)
    kept = shutil.copytree(old, tmp_path / "kept")
    full.catalog.note_run(1, "since")
    merged = full.job()
    full.write(merged, full.runs(merged, {"RR": 1}), {"loss": np.zeros((1, 7))})
    for moment in killer.moments(60, 1, "backup", full.store.root, fresh):
        shutil.rmtree(fresh, ignore_errors=True)  # which an early kill leaves unmade
        killer.kill(moment, "backup", full.store.root, fresh)
        if (fresh / "catalog.sqlite").exists():
            assert read_manifest(fresh).files  # nothing but its clearing up was left to do
        else:
            with pytest.raises(LabError, match=r"not whole|no backup"):
                restore(fresh, tmp_path / "none")
    counting = set()
    for moment in killer.moments(60, 16, "backup", full.store.root, old):
        shutil.rmtree(old)
        shutil.copytree(kept, old)
        killer.kill(moment, "backup", full.store.root, old)
        found = read_manifest(old)
        store = open_store(restore(old, tmp_path / "again").root)
        assert check(store) == []
        assert store.catalog.job_runs(1)[0].note == ("" if found == first.manifest else "since")
        store.close()
        shutil.rmtree(tmp_path / "again")
        counting.add(found == first.manifest)
    assert counting == {True, False}
    made = back_up(full.store, old)
    assert {path.name for path in old.rglob("*") if path.is_file()} - {"backup.lock"} == {
        Path(name).name for name in made.manifest.files
    } | {next(old.glob("backup-*.json")).name}


@pytest.mark.slow
def test_killed_while_restoring(full: Lab, tmp_path: Path, killer: Killer) -> None:  # noqa: F811
    made = back_up(full.store, tmp_path / "backup")
    target, work = tmp_path / "w" / "lab", tmp_path / "w"
    former = Lab(open_store(tmp_path / "former", create=True))
    former.study("former")
    former.store.close()
    shutil.copytree(former.store.root, target)
    between = 0
    for number, moment in enumerate(killer.moments(20, 6, "restore", made.root, target)):
        shutil.rmtree(work)
        shutil.copytree(former.store.root, target)
        killer.kill(moment, "restore", made.root, target)
        asides = list(work.glob("lab.replaced-*"))
        there = [target, *asides] if target.exists() else asides
        for path in there if asides or number % 3 == 0 else []:
            store = open_store(path)
            assert check(store) == []
            assert [row.name for row in store.catalog.studies()] in (["former"], ["study"])
            store.close()
        between += not target.exists()
        if number % 3 == 0 or not target.exists():
            restore(made.root, target, replace=True)
            assert not (work / ".lab.restoring").exists()
    assert between >= 1, "it was never killed between putting the former aside and naming the new one"


WRITING = """
import os, sys
import numpy as np
from data.store import open_store
from data.traces import TraceWriter
from tests.data.crash_child import value
from tests.data.killing import Killer, killer  # noqa: F401  # a fixture
store = open_store(sys.argv[1])
job = int(sys.argv[2])
runs = np.array([run.id for run in store.catalog.job_runs(job)])
note = os.open(sys.argv[1] + ".acknowledged", os.O_WRONLY | os.O_CREAT, 0o644)
with TraceWriter(store, job, ["loss"], seal_bytes=10_000) as writer:
    for step in range(100_000):
        loss = [value(run, step) for run in runs.tolist()]
        writer.write(runs, np.full(4, step), np.full(4, step / 10), np.full(4, step / 4), {"loss": loss})
        os.pwrite(note, b"%20d" % writer.flush(), 0)
"""


@pytest.mark.slow
def test_every_row_acknowledged_before_it_began_is_in_it(lab: Lab, tmp_path: Path) -> None:
    job = lab.job()
    lab.runs(job, {"A": 4})
    command = [sys.executable, "-c", WRITING, str(lab.store.root), str(job)]
    writer = subprocess.Popen(command, cwd=REPOSITORY)
    note = Path(f"{lab.store.root}.acknowledged")
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (note.exists() and note.stat().st_size):
            time.sleep(0.05)
        for number in range(3):
            time.sleep(0.2)
            acknowledged = int(note.read_bytes())
            made = back_up(lab.store, tmp_path / "backup")
            assert made.manifest.damaged == []
            assert writer.poll() is None
            store = open_store(restore(made.root, tmp_path / f"again{number}").root)
            frame = store.traces.frame("study", ["loss"])
            assert len(frame) >= acknowledged > 0
            for run, block in frame.groupby("run"):
                assert block["step"].tolist() == list(range(len(frame) // 4))
                assert block["loss"].tolist() == [value(int(run), step) for step in block["step"]]
            assert check(store) == []
            store.close()
    finally:
        writer.kill()
        writer.wait()


LIMITED = """
import resource, shutil, sys
from pathlib import Path
from data.backup import back_up
from data.errors import LabError
from data.restoring import restore
from data.store import open_store
store, backup, new, again = open_store(sys.argv[1]), *map(Path, sys.argv[2:])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (100, 20_000, 150_000):
    for what in (lambda: back_up(store, new), lambda: back_up(store, backup), lambda: restore(backup, again)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            what()
        except LabError as error:
            assert error.title == "The disk is full", error
        else:
            raise SystemExit(f"nothing was refused at {size}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not list(new.rglob("*.tmp")), size
        assert not again.exists() and not (again.parent / ".again.restoring").exists()
"""


def test_a_full_disk(full: Lab, tmp_path: Path) -> None:
    made = back_up(full.store, tmp_path / "backup")
    there = contents(made.root)
    job = full.job()
    full.write(job, full.runs(job, {"X": 1}), {"loss": np.zeros((1, 9))})
    words = [full.store.root, made.root, tmp_path / "new", tmp_path / "again"]
    command = [sys.executable, "-c", LIMITED, *map(str, words)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "new" / "catalog.sqlite").exists()
    assert {name: content for name, content in contents(made.root).items() if name in there} == there
    assert restore(made.root, tmp_path / "again").manifest == made.manifest


def test_no_space_is_told_before_anything_is_copied(
    full: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(full.store, tmp_path / "backup")
    full_disk = os.statvfs_result((4096, 4096, 10, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full_disk)
    for refused in (
        lambda: back_up(full.store, tmp_path / "new"),
        lambda: restore(made.root, tmp_path / "again"),
    ):
        with pytest.raises(LabError, match="disk is full"):
            refused()
    assert not (tmp_path / "again").exists()
    back_up(full.store, made.root)  # which lacks nothing
