"""Reading while the store changes: versions, threads, attached files, files that vanish."""

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from data import attachments, view
from data.attachments import Attachments
from data.errors import LabError
from data.traces import TraceWriter
from tests.data.conftest import Lab


def test_version_changes_with_rows_and_with_what_counts(lab: Lab) -> None:
    seen = []

    def changed() -> None:
        version = lab.traces.version("study")
        assert version == lab.traces.version("study")
        assert version not in seen
        seen.append(version)

    with pytest.raises(LabError, match="Unknown study"):
        lab.traces.version("study")
    job = lab.job()
    changed()
    runs = lab.runs(job, {"SS": 2})
    changed()
    writer = TraceWriter(lab.store, job, ["loss"])
    for step in range(3):
        writer.write(runs, [step] * 2, [0, 0], [0, 0], {"loss": [1.0, 2.0]})
        writer.flush()
        changed()
    writer.close()
    lab.catalog.update_runs([{"id": run, "status": "done"} for run in runs])
    lab.catalog.delete_runs([runs[0]])
    changed()
    lab.catalog.note_run(runs[1], "seen")
    lab.catalog.archive_runs([runs[1]])
    other = lab.job("other")
    lab.write(other, lab.runs(other, {"SS": 1}, "other"), {"loss": np.ones((1, 3))})
    assert lab.traces.version("study") == seen[-1]


def test_version_reads_no_row(lab: Lab) -> None:
    """However many runs and rows there are, it asks the catalogue three things and opens no file."""
    asked: list[str] = []
    engine = lab.catalog.engine
    event.listen(engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    counts = []
    for seeds in (2, 150):
        job = lab.job()
        lab.write(job, lab.runs(job, {"SS": seeds}), {"loss": np.ones((seeds, 5))})
        for row in lab.catalog.segments([job]):
            (lab.store.root / row.path).unlink()
        asked.clear()
        lab.traces.version("study")
        counts.append(sum(text.startswith(("SELECT", "WITH")) for text in asked))
    assert counts == [3, 3]


def test_a_variant_of_the_queued_study_is_found(lab: Lab) -> None:
    job = lab.job("study")
    lab.study("study@lr=1")
    runs = lab.runs(job, {"SS": 1}, "study@lr=1")
    lab.write(job, runs, {"loss": np.ones((1, 3))})
    assert lab.traces.count("study@lr=1") == 3
    assert lab.traces.count("study") == 0


def test_rows_of_superseded_attempts_are_not_read(lab: Lab) -> None:
    for value in (1.0, 2.0):
        job = lab.job()
        runs = lab.runs(job, {"SS": 1})
        lab.write(job, runs, {"loss": np.full((1, 3), value)})
        lab.catalog.update_runs([{"id": runs[0], "status": "done"}])
    assert lab.traces.frame("study", ["loss"])["loss"].tolist() == [2.0] * 3


def test_threads_read_at_once(lab: Lab) -> None:
    values = np.random.default_rng(0).normal(size=(8, 500)).astype(np.float32)
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 4, "B": 4}), {"loss": values})
    live = lab.job()
    runs = lab.catalog.start_runs(live, "study", [("C", 0, {})], 10, "cpu")
    writer = lab.write(live, runs, {"loss": values[:1]}, live=True)
    expected = [lab.traces.frame("study", ["loss"]), lab.traces.bands("study", "loss")]
    thinned = lab.traces.thin("study", "loss", points=50).frame
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(5):
                assert lab.traces.frame("study", ["loss"]).equals(expected[0])
                assert lab.traces.bands("study", "loss")["median"].equals(expected[1]["median"])
                assert lab.traces.thin("study", "loss", points=50).frame.equals(thinned)
                assert len(lab.traces.thin("study", "loss", window=3, points=50).frame)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert not failures


def test_attached_files_are_bounded_and_let_go(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Attachments(limit=3)
    monkeypatch.setattr(view, "SHARED", shared)
    for number in range(6):
        job = lab.job(f"s{number}")
        lab.write(job, lab.runs(job, {"A": 1}, f"s{number}"), {"loss": np.full((1, 3), float(number))})
        assert lab.traces.frame(f"s{number}", ["loss"])["loss"].tolist() == [number] * 3
    assert len(shared._files) == 3
    gone = next(iter(shared._files))
    gone.unlink()
    for number in (0, 1, 0):
        assert lab.traces.count(f"s{number}") == 3
    assert gone not in shared._files
    assert len(shared._files) <= 3
    both = [lab.store.root / row.path for row in lab.catalog.segments([1, 2, 3, 5])]
    with shared.reading(both) as (cursor, files):
        assert len(files) == 4  # more than the limit, for as long as they are read
        assert cursor.execute(f"SELECT count(*) FROM {files[0].name}.traces").fetchall() == [(3,)]
    assert isinstance(attachments.SHARED, Attachments)


def test_a_file_that_a_merge_took_away_means_a_fresh_look(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.job()
    runs = lab.runs(job, {"A": 2})
    writer = TraceWriter(lab.store, job, ["loss"], seal_bytes=1)
    for step in range(3):
        writer.write(runs, [step] * 2, [0, 0], [0, 0], {"loss": [1.0, 2.0]})
        writer.flush()
    honest = lab.catalog.snapshot
    looks = []

    def snapshot_then_merge(study: str) -> object:
        seen = honest(study)
        looks.append(len(seen.segments))
        writer.close()
        return seen

    monkeypatch.setattr(lab.catalog, "snapshot", snapshot_then_merge)
    assert lab.traces.count("study") == 6
    assert looks == [3, 1]


def test_a_part_sealed_while_it_is_read_counts_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    job = lab.job()
    runs = lab.runs(job, {"A": 2})
    writer = TraceWriter(lab.store, job, ["loss"])
    writer.write(runs, [0, 0], [0, 0], [0, 0], {"loss": [1.0, 2.0]})
    writer.flush()
    honest = lab.catalog.snapshot

    def seal_then_snapshot(study: str) -> object:
        writer.close()
        return honest(study)

    monkeypatch.setattr(lab.catalog, "snapshot", seal_then_snapshot)
    assert lab.traces.count("study") == 2


def test_a_missing_or_damaged_file_is_said(lab: Lab) -> None:
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 1}), {"loss": np.ones((1, 3))})
    path = lab.store.root / lab.catalog.segments([job])[0].path
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(LabError, match="missing"):
        lab.traces.count("study")
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(LabError, match="damaged"):
        lab.traces.count("study")
    path.write_bytes(content)
    assert lab.traces.count("study") == 3


def test_a_store_can_be_moved(lab: Lab, tmp_path: Path) -> None:
    from data.store import open_store

    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 1}), {"loss": np.ones((1, 3))})
    lab.store.close()
    lab.store.root.rename(tmp_path / "moved")
    moved = open_store(tmp_path / "moved")
    assert moved.traces.count("study") == 3
    moved.close()
