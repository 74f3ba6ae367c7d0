"""Writing: what is acknowledged, sealed and merged, and what is refused before anything is acknowledged."""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import recovery, trace_writer
from data.errors import LabError
from data.journal import read_journal
from data.recovery import JobLock, job_journals
from data.traces import TraceWriter, recover
from tests.data.conftest import Lab


def rows(writer: TraceWriter, runs: list[int], steps: range, **columns: float) -> None:
    count = len(runs) * len(steps)
    at = np.repeat(np.array(steps), len(runs))
    values = {name: np.full(count, value) for name, value in columns.items()}
    writer.write(np.tile(runs, len(steps)), at, at / 10, at / 4, values or {"loss": at * 1.0})


def test_flush_acknowledges_close_seals(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 3})
    writer = TraceWriter(lab.store, job, ["loss", "norm"])
    assert writer.flush() == 0
    rows(writer, runs, range(4))
    assert lab.traces.count("study") == 0
    assert writer.flush() == 12
    assert lab.traces.count("study") == 12
    rows(writer, runs, range(4, 6), norm=1.0)
    assert writer.flush() == 18
    assert [part for part, _ in job_journals(lab.store.journals / str(job))] == [0]
    writer.close()
    writer.close()
    assert list(lab.store.journals.iterdir()) == []
    (segment,) = lab.catalog.segments([job])
    path = lab.store.root / segment.path
    assert path.parent == lab.store.segments
    assert (segment.rows, segment.first_step, segment.last_step) == (18, 0, 5)
    assert segment.bytes == path.stat().st_size
    with duckdb.connect(str(path), read_only=True) as connection:
        kinds = connection.execute("DESCRIBE traces").fetchall()
        keys = connection.execute("SELECT run, step FROM traces").fetchall()
    assert [(name, kind) for name, kind, *_ in kinds] == [
        ("run", "INTEGER"),
        ("step", "BIGINT"),
        ("epoch", "DOUBLE"),
        ("seconds", "DOUBLE"),
        ("loss", "FLOAT"),
        ("norm", "FLOAT"),
    ]
    assert keys == sorted(keys)
    assert lab.traces.count("study") == 18


def test_seals_past_a_size_and_merges_at_the_end(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 4})
    writer = TraceWriter(lab.store, job, ["loss"], seal_bytes=3000)
    for start in range(0, 400, 10):
        rows(writer, runs, range(start, start + 10))
        assert writer.flush() == 4 * (start + 10)
        assert lab.traces.count("study") == 4 * (start + 10)
    parts = [segment.part for segment in lab.catalog.segments([job])]
    assert len(parts) > 3
    assert parts == list(range(len(parts)))
    writer.close()
    (segment,) = lab.catalog.segments([job])
    assert segment.rows == 1600
    assert [path.name for path in lab.store.segments.iterdir()] == [Path(segment.path).name]
    frame = lab.traces.frame("study", ["loss"])
    assert frame["step"].tolist() == list(range(400)) * 4
    assert frame["loss"].tolist() == [float(step) for step in range(400)] * 4


def test_precision_and_masks(lab: Lab) -> None:
    job = lab.job()
    (run,) = lab.runs(job, {"SS": 1})
    exact = [0.1, 1e300, np.nan, -np.inf]
    with TraceWriter(lab.store, job, ["loss"], dtype="float64") as writer:
        writer.write(
            [run] * 5,
            range(5),
            range(5),
            range(5),
            {"loss": np.ma.masked_array([*exact, 0.0], [0, 0, 0, 0, 1])},
        )
    assert repr(lab.traces.table("study", ["loss"])["loss"].to_pylist()) == repr(exact)
    other = lab.job("other")
    (run,) = lab.runs(other, {"SS": 1}, "other")
    with TraceWriter(lab.store, other, ["loss"]) as writer:
        writer.write([run] * 2, range(2), range(2), range(2), {"loss": np.array([0.1, 1e300])})
    assert lab.traces.frame("other", ["loss"])["loss"].tolist() == [float(np.float32(0.1)), np.inf]


def test_a_row_is_written_once(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    writer = TraceWriter(lab.store, job, ["loss", "norm"], seal_bytes=1)
    rows(writer, runs, range(0, 10, 2), loss=1.0)
    writer.flush()  # sealed
    rows(writer, runs, range(1, 9, 2), loss=1.0)  # out of order is no harm
    with pytest.raises(ValueError, match="Run 1, step 4 was written before"):
        rows(writer, runs, range(4, 5), norm=1.0)
    with pytest.raises(ValueError, match="step 3 was written before"):
        rows(writer, runs, range(3, 4), norm=1.0)
    with pytest.raises(ValueError, match="step 20 was written before"):
        writer.write([runs[0]] * 2, [20, 20], [0, 0], [0, 0], {"loss": [1.0, 2.0]})
    assert writer.flush() == 18
    with pytest.raises(ValueError, match="step 3 was written before"):
        rows(writer, runs, range(3, 4), norm=1.0)
    writer.close()
    again = TraceWriter(lab.store, job, ["loss", "more"])
    assert again.rows == 18
    with pytest.raises(ValueError, match="step 8 was written before"):
        rows(again, runs, range(8, 9))
    rows(again, runs, range(9, 12), more=2.0)
    again.close()
    (segment,) = lab.catalog.segments([job])
    assert segment.rows == lab.traces.count("study") == 24
    assert sorted(lab.traces.metrics("study")) == ["loss", "more", "norm"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    cadence=st.integers(1, 5),
    stretch=st.integers(1, 9),
    attempts=st.lists(
        st.tuples(st.integers(0, 60), st.floats(0, 1), st.booleans(), st.sampled_from([1, 1 << 30])),
        max_size=5,
    ),
    chance=st.randoms(use_true_random=False),
)
def test_a_training_that_retraces_loses_no_row_and_doubles_none(
    lab: Lab,
    lengths: list[int],
    cadence: int,
    stretch: int,
    attempts: list[tuple[int, float, bool, int]],
    chance: random.Random,
) -> None:
    """Attempts begin at a step at or before the last acknowledged one, and are killed after some flushes."""
    study = f"study{datetime.now(UTC).timestamp()}"
    job = lab.job(study)
    runs = lab.runs(job, {"A": len(lengths)}, study)
    base = 0  # up to here a checkpoint was saved, so its rows are acknowledged
    reached = 0

    def train(writer: TraceWriter, first: int, last: int) -> None:
        """Write the rows of the steps after `first` up to `last`, in an order that may differ every time."""
        keys = [
            (run, step)
            for run, length in zip(runs, lengths, strict=True)
            for step in range(first + 1, min(last, length) + 1)
            if step == length or step % cadence == 0 or run == runs[0]
        ]
        chance.shuffle(keys)
        which = np.array([run for run, _ in keys], dtype=int)
        at = np.array([step for _, step in keys], dtype=int)
        writer.write(which, at, at / 10, at / 4, {"loss": which * 1000.0 + at})

    acknowledged = 0
    for flushes, back, torn, seal_bytes in [*attempts, (1000, 1.0, False, 1 << 30)]:
        base = int(back * reached)
        writer = TraceWriter(lab.store, job, ["loss"], seal_bytes=seal_bytes, retrace=True)
        assert writer.rows == acknowledged
        at = base
        for _ in range(flushes):
            if at >= max(lengths):
                break
            train(writer, at, at + stretch)
            at += stretch
            acknowledged = writer.flush()
            reached = max(reached, at)
        if at < max(lengths):
            train(writer, at, at + stretch)  # never acknowledged
            if torn and writer._journal is not None:
                with writer._journal.path.open("ab") as file:
                    file.write(b"\xff\xff\xff\xff\x10")
            writer._lock.release()  # killed
        else:
            writer.close()
        assert lab.traces.count(study) == acknowledged
    recover(lab.store, job)
    frame = lab.traces.frame(study, ["loss"])
    expected = [
        (run, step)
        for run, length in zip(runs, lengths, strict=True)
        for step in range(1, length + 1)
        if step == length or step % cadence == 0 or run == runs[0]
    ]
    assert list(zip(frame["run"], frame["step"], strict=True)) == expected
    assert frame["loss"].tolist() == [run * 1000.0 + step for run, step in expected]


def test_a_writer_that_retraces_refuses_its_own_doubles_and_knows_the_time(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    with TraceWriter(lab.store, job, ["loss"]) as first:
        assert first.seconds == 0.0
        rows(first, runs, range(6))
    writer = TraceWriter(lab.store, job, ["loss"], retrace=True)
    assert (writer.rows, writer.seconds) == (12, 1.25)
    rows(writer, runs, range(4, 8))
    assert writer.flush() == 16
    with pytest.raises(ValueError, match="step 7 was written before"):
        rows(writer, runs, range(7, 8))
    writer.close()
    assert lab.traces.frame("study", ["loss"])["loss"].tolist() == [float(step) for step in range(8)] * 2


def test_a_writer_that_retraces_waits_for_who_seals_what_was_left(lab: Lab) -> None:
    job = lab.job()
    lock = JobLock(lab.store.journals / str(job))
    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(TraceWriter, lab.store, job, ["loss"], retrace=True)
        with pytest.raises(TimeoutError):
            writer.result(0.1)
        lock.remove()
        writer.result(10).close()


def test_what_is_refused(lab: Lab) -> None:
    job = lab.job()
    (run,) = lab.runs(job, {"SS": 1})
    for names in (["loss", "LOSS"], [""], ["step"], ["arm"], ["a\0b"]):
        with pytest.raises(ValueError, match="`metrics` must be different"):
            TraceWriter(lab.store, job, names)
    with pytest.raises(ValueError, match="`dtype`"):
        TraceWriter(lab.store, job, ["loss"], dtype="float16")  # type: ignore[arg-type]
    with pytest.raises(LabError, match="no job 99"):
        TraceWriter(lab.store, 99, ["loss"])
    writer = TraceWriter(lab.store, job, ["loss"])
    with pytest.raises(ValueError, match="as many rows"):
        writer.write([run], [1, 2], [0], [0], {"loss": [1.0]})
    with pytest.raises(ValueError, match="as many rows"):
        writer.write([run], [1], [0], [0], {"loss": [1.0, 2.0]})
    with pytest.raises(ValueError, match="among"):
        writer.write([run], [1], [0], [0], {"lass": [1.0]})
    with pytest.raises(ValueError, match="whole numbers"):
        writer.write([run], [1.5], [0], [0], {"loss": [1.0]})
    with pytest.raises(ValueError, match="shape"):
        writer.write([run], [1], [0], [0], {"loss": [[1.0]]})
    with pytest.raises(LabError, match="being written"):
        TraceWriter(lab.store, job, ["loss"])
    with pytest.raises(LabError, match="being written"):
        recover(lab.store, job)
    assert writer.flush() == 0
    writer.close()
    assert recover(lab.store, job) == 0
    assert list(lab.store.journals.iterdir()) == []


def test_sealing_finds_doubles_that_came_another_way(lab: Lab) -> None:
    job = lab.job()
    (run,) = lab.runs(job, {"SS": 1})
    writer = TraceWriter(lab.store, job, ["loss"])
    rows(writer, [run], range(3))
    writer.flush()
    journal = writer._journal
    assert journal is not None
    for batch in read_journal(journal.path).to_batches():
        journal.append(batch)
    with pytest.raises(LabError, match="written twice"):
        writer.close()
    assert list(lab.store.segments.iterdir()) == []
    assert journal.path.exists()


def test_what_a_dead_writer_left_is_sealed_by_the_next(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    writer = TraceWriter(lab.store, job, ["loss"])
    rows(writer, runs, range(5))
    writer.flush()
    assert writer._journal is not None
    with writer._journal.path.open("ab") as file:
        file.write(b"\xff\xff\xff\xff\x10")  # a torn batch
    writer._lock.release()  # as the operating system does
    for name in (f"{job}-0.tmp", f"{job}-0.tmp.wal", f"{job}-7-abc.duckdb", f"{job}0-0.tmp"):
        (lab.store.segments / name).write_bytes(b"half")
    (lab.store.segments / f"{job}-0.spill.tmp").mkdir()
    again = TraceWriter(lab.store, job, ["loss"])
    assert again.rows == lab.traces.count("study") == 10
    rows(again, runs, range(5, 6))
    again.close()
    assert lab.traces.count("study") == 12
    names = sorted(path.name for path in lab.store.segments.iterdir())
    assert names == sorted([Path(lab.catalog.segments([job])[0].path).name, f"{job}0-0.tmp"])


@pytest.mark.parametrize("where", ["seal_leftovers", "merge_segments"])
def test_whatever_interrupts_a_writer_or_a_recovery_gives_the_lock_back(
    lab: Lab, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 1})

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def write() -> None:
        with TraceWriter(lab.store, job, ["loss"]) as writer:
            rows(writer, runs, range(2))

    for module in (trace_writer, recovery):
        monkeypatch.setattr(module, where, interrupt)
    for work in (write, lambda: recovery.recover(lab.store, job)):
        with pytest.raises(KeyboardInterrupt):
            work()
        JobLock(lab.store.journals / str(job)).release()
