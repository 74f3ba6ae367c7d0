"""Bands against NumPy, one place on the axis after the other."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.conftest import Lab

QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


def check(row: dict[str, float], values: np.ndarray, everything: np.ndarray | None = None) -> None:
    """Hold one row to the values of the runs there; extremes are over `everything` in the cell."""
    everything = values if everything is None else everything
    finite = values[np.isfinite(values)].astype(np.float64)
    assert row["n"] == len(finite)
    for name, q in QUANTILES.items():
        expected = np.quantile(finite, q) if len(finite) else np.nan
        np.testing.assert_allclose(row[name], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(row["mean"], finite.mean() if len(finite) else np.nan, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        row["sd"], finite.std(ddof=1) if len(finite) > 1 else np.nan, rtol=1e-9, atol=1e-9
    )
    bounded = everything[np.isfinite(everything)]
    np.testing.assert_allclose(row["low"], bounded.min() if len(bounded) else np.nan, rtol=0)
    np.testing.assert_allclose(row["high"], bounded.max() if len(bounded) else np.nan, rtol=0)


value = st.one_of(st.floats(-100, 100, width=32), st.sampled_from([np.nan, np.inf, -np.inf]), st.none())


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(st.lists(value, min_size=1, max_size=12), min_size=1, max_size=6),
    x=st.sampled_from(["step", "epoch"]),
    live=st.booleans(),
)
def test_like_numpy_at_every_step(lab: Lab, columns: list[list[float | None]], x: str, live: bool) -> None:
    study = f"study{time.time_ns()}"
    job = lab.job(study)
    half = (len(columns) + 1) // 2
    arms = {"A": half, "B": len(columns) - half}
    runs = lab.runs(job, arms, study)
    array = np.ma.masked_all((len(columns), 12), dtype=np.float32)
    for row, column in enumerate(columns):
        for step, each in enumerate(column):
            if each is not None:
                array[row, step] = each
    writer = lab.write(job, runs, {"loss": array}, live=live)
    found = {
        (row["arm"], round(row["x"], 6)): row
        for row in lab.traces.bands(study, "loss", x=x).to_dict("records")
    }  # type: ignore[arg-type]
    writer.close()
    expected = 0
    for arm, block in (("A", array[:half]), ("B", array[half:])):
        for step in range(12):
            measured = block[:, step].compressed()
            if len(measured):
                expected += 1
                row = found[arm, round(step / (10.0 if x == "epoch" else 1.0), 6)]
                check(row, measured)
                assert row["n_nonfinite"] == (~np.isfinite(measured)).sum()
                assert row["n_runs"] == arms[arm]
    assert len(found) == expected


def test_long_studies_are_reduced_onto_a_grid(lab: Lab) -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(5, 1001)).astype(np.float32)
    values[2, 503] = np.nan
    values[3, 700:] = np.inf
    values[1, 251] = 1e20
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 5}), {"loss": values})
    bands = lab.traces.bands("study", "loss", points=101)
    assert list(bands["x"]) == [float(step) for step in range(0, 1001, 10)]
    for row in bands.to_dict("records"):
        at = int(row["x"])
        cell = values[:, max(at - 9, 0) : at + 1]
        check(row, cell[:, -1], cell)
        assert row["n_nonfinite"] == (~np.isfinite(cell)).any(axis=1).sum()
        assert row["n_runs"] == 5
    assert bands["high"].max() == np.float32(1e20)


def test_over_seconds_jobs_with_different_clocks_share_cells(lab: Lab) -> None:
    for shift in (0.0, 0.1):
        job = lab.job()
        runs = lab.catalog.start_runs(job, "study", [("A", int(shift * 10), {})], 100, "cpu")
        steps = np.arange(100)
        lab.write(job, runs, {"loss": np.ones((1, 100))}, steps, steps * 1.0 + shift)
    bands = lab.traces.bands("study", "loss", x="seconds", points=400)
    assert len(bands) <= 100
    assert (bands["n"].iloc[1:] == 2).mean() > 0.9


def test_a_group_does_not_change_because_something_is_hidden(lab: Lab) -> None:
    values = np.random.default_rng(0).normal(size=(6, 10))
    job = lab.job()
    runs = lab.runs(job, {"A": 3, "B": 3})
    lab.write(job, runs, {"loss": values})
    before = lab.traces.bands("study", "loss", arms=["A"])
    lab.catalog.archive_runs(runs[:1])
    assert lab.traces.bands("study", "loss", arms=["A"]).equals(before)
    lab.catalog.delete_runs(runs[:1])
    assert set(lab.traces.bands("study", "loss", arms=["A"])["n"]) == {2}
    zoomed = lab.traces.bands("study", "loss", first=3, last=5)
    assert sorted(set(zoomed["x"])) == [3.0, 4.0, 5.0]


def test_values_near_the_end_of_float64(lab: Lab) -> None:
    values = np.array([[1e200], [3e200], [2e200], [np.nan]])
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 4}), {"loss": values}, dtype="float64")
    row = lab.traces.bands("study", "loss").to_dict("records")[0]
    np.testing.assert_allclose(row["sd"], 1e200, rtol=1e-9)
    np.testing.assert_allclose([row["mean"], row["median"]], 2e200, rtol=1e-12)


def test_nothing_measured(lab: Lab) -> None:
    job = lab.job()
    lab.write(job, lab.runs(job, {"A": 2}), {"loss": np.ma.masked_all((2, 3)), "other": np.ones((2, 3))})
    empty = lab.traces.bands("study", "loss")
    assert len(empty) == 0
    assert list(empty.columns) == list(lab.traces.bands("study", "other").columns)
    with pytest.raises(ValueError, match="`points` must be"):
        lab.traces.bands("study", "loss", points=1)
