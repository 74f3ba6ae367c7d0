"""Frames, matrices and last values against pandas on the same rows."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest

from data.errors import LabError
from tests.data.conftest import Lab

METRICS = ["loss", "layer/norm", 'odd "name; --']


@pytest.fixture(params=["sealed", "live", "both"])
def rows(request: pytest.FixtureRequest, lab: Lab) -> pd.DataFrame:
    """Three jobs with different columns, gaps and non-finite values; the same rows as a plain frame."""
    random = np.random.default_rng(3)
    frames, writers = [], []
    for place, (arm, names) in enumerate([("B", METRICS), ("A", METRICS[:1]), ("C", METRICS[1:])]):
        job = lab.job()
        runs = lab.catalog.start_runs(job, "study", [(arm, seed, {}) for seed in (1, 0)], 9, "cpu")
        values = {}
        for name in names:
            array = np.ma.masked_array(
                random.normal(size=(2, 30)).astype(np.float32), random.random((2, 30)) < 0.3
            )
            array[0, [3, 7, 9]] = [np.nan, np.inf, -np.inf]
            values[name] = array
        live = request.param == "live" or (request.param == "both" and place == 1)
        writers.append(lab.write(job, runs, values, live=live))
        for index, run in enumerate(runs):
            for step in range(30):
                row: dict[str, object] = {"arm": arm, "seed": (1, 0)[index], "run": run, "step": step}
                row |= {"epoch": step / 10.0, "seconds": step * 0.25}
                for name in METRICS:
                    cell = values[name][index, step] if name in values else np.ma.masked
                    row[name] = None if cell is np.ma.masked else float(cell)
                frames.append(row)
    frame = pd.DataFrame(frames, dtype=object)  # as objects None and NaN stay apart
    for name in ("seed", "run", "step"):
        frame[name] = frame[name].astype(np.int64)
    for name in ("epoch", "seconds"):
        frame[name] = frame[name].astype(np.float64)
    yield frame.sort_values(["arm", "seed", "step"], ignore_index=True)
    for writer in writers:
        writer.close()


def same(left: object, right: object) -> bool:
    return repr(left) == repr(right)


def test_table_tells_null_from_nan(lab: Lab, rows: pd.DataFrame) -> None:
    found = lab.traces.table("study", METRICS).to_pylist()
    expected = [row for row in rows.to_dict("records") if any(row[name] is not None for name in METRICS)]
    assert len(found) == len(expected)
    assert all(same(left, right) for left, right in zip(found, expected, strict=True))
    assert any(row["loss"] is None for row in found)
    assert any(row["loss"] is not None and np.isnan(row["loss"]) for row in found)


def test_frame(lab: Lab, rows: pd.DataFrame) -> None:
    found = lab.traces.frame("study", ["loss"], arms=["A", "B"], seeds=[1], first=2, last=20)
    wanted = rows[rows["arm"].isin(["A", "B"]) & (rows["seed"] == 1) & rows["step"].between(2, 20)]
    wanted = wanted[[value is not None for value in wanted["loss"]]]
    assert found["loss"].tolist() == pytest.approx(wanted["loss"].tolist(), nan_ok=True)
    for name in ("arm", "seed", "run", "step", "epoch", "seconds"):
        assert found[name].tolist() == wanted[name].tolist()
    with pytest.raises(ValueError, match="different names"):
        lab.traces.frame("study", [])
    with pytest.raises(ValueError, match="different names"):
        lab.traces.frame("study", ["loss", "loss"])


def test_count_and_metrics(lab: Lab, rows: pd.DataFrame) -> None:
    assert lab.traces.count("study") == len(rows) == 180
    assert sorted(lab.traces.metrics("study")) == sorted(METRICS)


@pytest.mark.parametrize("max_steps", [1000, 7, 2])
def test_matrices(lab: Lab, rows: pd.DataFrame, max_steps: int) -> None:
    wanted = METRICS[1:]
    found = {matrix.run: matrix for matrix in lab.traces.matrices("study", wanted, max_steps=max_steps)}
    assert [matrix.arm for matrix in found.values()] == sorted(matrix.arm for matrix in found.values())
    complete = rows[[all(row[name] is not None for name in wanted) for row in rows.to_dict("records")]]
    assert set(found) == set(complete["run"])
    for run, block in complete.groupby("run"):
        n = len(block)
        grid = (
            np.arange(n)
            if n <= max_steps
            else np.floor(np.arange(max_steps) * (n - 1) / (max_steps - 1) + 0.5)
        )
        picked = block.iloc[grid.astype(int)]
        matrix = found[int(run)]
        assert matrix.values.dtype == np.float64
        np.testing.assert_array_equal(matrix.steps, picked["step"])
        np.testing.assert_array_equal(matrix.values, picked[wanted].to_numpy(dtype=np.float64))
        assert (matrix.arm, matrix.seed) == (picked["arm"].iloc[0], picked["seed"].iloc[0])
    with pytest.raises(ValueError, match="`max_steps`"):
        lab.traces.matrices("study", wanted, max_steps=1)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0, 1e-9])
def test_last(lab: Lab, rows: pd.DataFrame, share: float) -> None:
    found = lab.traces.last("study", ["layer/norm", "loss"], share)
    place = 0
    for (_arm, _seed), block in rows.groupby(["arm", "seed"]):
        for metric in ("layer/norm", "loss"):
            values = [value for value in block[metric] if value is not None]
            if values:
                count = max(1, int(np.ceil(round(share * len(values), 9))))
                row = found.iloc[place]
                assert (row["arm"], row["seed"], row["metric"], row["n"]) == (_arm, _seed, metric, count)
                np.testing.assert_allclose(row["value"], sum(values[-count:]) / count, rtol=1e-9)
                place += 1
    assert place == len(found)
    with pytest.raises(ValueError, match="`share`"):
        lab.traces.last("study", ["loss"], 0)


def test_export(lab: Lab, rows: pd.DataFrame, tmp_path: Path) -> None:
    columns = lab.traces.metrics("study")
    expected = rows[["arm", "seed", "step", "epoch", "seconds", *columns]].to_dict("records")
    expected = [{"study": "study", **row} for row in expected]
    assert lab.traces.export("study", tmp_path / "out.parquet") == 180
    assert lab.traces.export("study", tmp_path / "out.duckdb") == 180
    assert lab.traces.export("study", str(tmp_path / "out.csv")) == 180
    parquet = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert all(same(left, right) for left, right in zip(parquet, expected, strict=True))
    with duckdb.connect(str(tmp_path / "out.duckdb"), read_only=True) as connection:
        stored = connection.execute("SELECT * FROM traces").fetchall()
    assert all(same(left, tuple(right.values())) for left, right in zip(stored, expected, strict=True))
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert len(lines) == 181
    text = pd.read_csv(tmp_path / "out.csv", dtype=str, keep_default_na=False)
    for name in columns:
        for written, row in zip(text[name], expected, strict=True):
            value = row[name]
            if value is None:
                assert written == ""
            elif not np.isfinite(value):
                assert written == {"nan": "nan", "inf": "inf", "-inf": "-inf"}[str(value)]
            else:
                assert np.float32(written) == np.float32(value)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "out.csv",
        "out.duckdb",
        "out.parquet",
    ]


def test_export_that_fails_leaves_the_older_file(lab: Lab, tmp_path: Path) -> None:
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 1}), {"loss": np.ones((1, 3))})
    for name in ("out.xlsx", "out"):
        with pytest.raises(LabError, match="Unknown format") as raised:
            lab.traces.export("study", tmp_path / name)
        assert ".parquet" in raised.value.remedy
    with pytest.raises(LabError, match="no such folder"):
        lab.traces.export("study", tmp_path / "nowhere" / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(LabError, match="folder"):
        lab.traces.export("study", tmp_path / "folder.csv")
    with pytest.raises(LabError, match="Unknown study"):
        lab.traces.export("nothing", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_study_without_rows(lab: Lab, tmp_path: Path) -> None:
    lab.study()
    assert lab.traces.count("study") == 0
    assert lab.traces.metrics("study") == []
    assert lab.traces.export("study", tmp_path / "out.csv") == 0
    assert (tmp_path / "out.csv").read_text() == "study,arm,seed,step,epoch,seconds\n"
