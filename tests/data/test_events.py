"""Crossings, and traces counted from an event, against plain loops over the same points."""

import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import LabError
from tests.data.conftest import Lab

value = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([np.nan, np.inf, -np.inf, 1.0]), st.none())


def first_crossing(column: list[float | None], direction: str, patience: int) -> int | None:
    points = [(step, each) for step, each in enumerate(column) if each is not None]
    for place in range(len(points) - patience + 1):
        window = [each for _, each in points[place : place + patience]]
        if all(each >= 1 if direction == "above" else each <= 1 for each in window):
            return points[place][0]
    return None


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(st.lists(value, min_size=9, max_size=9), min_size=1, max_size=5),
    direction=st.sampled_from(["above", "below"]),
    patience=st.integers(1, 4),
    live=st.booleans(),
)
def test_crossings(
    lab: Lab, columns: list[list[float | None]], direction: str, patience: int, live: bool
) -> None:
    study = f"study{time.time_ns()}"
    job = lab.job(study)
    runs = lab.runs(job, {"A": len(columns)}, study)
    array = np.ma.masked_array(
        [[0.0 if each is None else each for each in column] for column in columns],
        [[each is None for each in column] for column in columns],
        dtype=np.float32,
    )
    writer = lab.write(job, runs, {"loss": array}, live=live)
    found = lab.traces.crossings(study, "loss", 1.0, direction, patience)  # type: ignore[arg-type]
    writer.close()
    expected = [first_crossing(column, direction, patience) for column in columns]
    assert [None if found["step"].isna()[i] else int(found["step"][i]) for i in range(len(runs))] == expected
    assert found["run"].tolist() == runs
    assert found["seed"].tolist() == list(range(len(columns)))


def test_crossings_refuse_what_they_cannot_mean(lab: Lab) -> None:
    lab.write(job := lab.job(), lab.runs(job, {"A": 1}), {"loss": np.ones((1, 3))})
    with pytest.raises(ValueError, match="`patience`"):
        lab.traces.crossings("study", "loss", 0.5, patience=0)
    with pytest.raises(ValueError, match="`direction`"):
        lab.traces.crossings("study", "loss", 0.5, "over")  # type: ignore[arg-type]
    with pytest.raises(LabError, match="Unknown metric"):
        lab.traces.crossings("study", "accuracy", 0.5)


@pytest.fixture
def told(lab: Lab) -> dict[int, tuple[str, np.ndarray]]:
    """Runs of two arms on one grid of steps 0, 10, ..., 390; the value tells run and step."""
    job = lab.job()
    runs = lab.runs(job, {"A": 4, "B": 3})
    steps = np.arange(0, 400, 10)
    values = np.array([[run * 1000 + step for step in steps] for run in range(len(runs))], float)
    values[2, 7] = np.nan
    lab.write(job, runs, {"loss": values}, steps=steps)
    return {run: ("AAAABBB"[place], values[place]) for place, run in enumerate(runs)}


def test_bands_count_from_each_runs_event(lab: Lab, told: dict[int, tuple[str, np.ndarray]]) -> None:
    events = {run: 10 * (3 + 5 * place) for place, run in enumerate(told) if place not in (1, 6)}
    found = lab.traces.bands("study", "loss", events=events)
    expected: dict[tuple[str, float], list[float]] = {}
    for run, event in events.items():
        arm, values = told[run]
        for row, each in enumerate(values):
            expected.setdefault((arm, 10.0 * row - event), []).append(float(each))
    assert [(row.arm, row.x) for row in found.itertuples()] == sorted(expected)
    for row in found.to_dict("records"):
        values = np.array(expected[row["arm"], row["x"]])
        finite = values[np.isfinite(values)]
        assert row["n"] == len(finite)
        assert row["n_nonfinite"] == len(values) - len(finite)
        assert row["n_runs"] == {"A": 4, "B": 3}[row["arm"]]
        assert row["median"] == pytest.approx(np.median(finite) if len(finite) else np.nan, nan_ok=True)
    near = lab.traces.bands("study", "loss", first=-20, last=30, events=events)
    assert sorted(set(near["x"])) == [-20.0, -10.0, 0.0, 10.0, 20.0, 30.0]


def test_many_places_are_cells_centred_on_the_event(
    lab: Lab, told: dict[int, tuple[str, np.ndarray]]
) -> None:
    events = {run: 10 * (3 + 5 * place) + place for place, run in enumerate(told)}  # on no common grid
    found = lab.traces.bands("study", "loss", events=events, points=20)
    low = min(0 - event for event in events.values())
    high = max(390 - event for event in events.values())
    width = (high - low) / 19
    cells: dict[tuple[str, int], dict[int, float]] = {}
    for run, event in events.items():
        arm, values = told[run]
        for row, each in enumerate(values):
            cells.setdefault((arm, round((10.0 * row - event) / width)), {})[run] = float(each)
    assert len(found) == len(cells)
    for row in found.to_dict("records"):
        last = np.array(list(cells[row["arm"], round(row["x"] / width)].values()))
        assert row["x"] == pytest.approx(round(row["x"] / width) * width)
        assert row["n"] == np.isfinite(last).sum()
        assert row["median"] == pytest.approx(np.median(last[np.isfinite(last)]))
    assert {0.0} <= set(found["x"])
    assert found.groupby("arm").size().max() <= 20


@pytest.mark.parametrize(("x", "unit"), [("step", 1.0), ("epoch", 0.1), ("seconds", 0.25)])
def test_lines_count_from_each_runs_event(
    lab: Lab, told: dict[int, tuple[str, np.ndarray]], x: str, unit: float
) -> None:
    run, other = list(told)[:2]
    found = lab.traces.thin("study", "loss", x=x, events={run: 45, other: 0}, first=-2, last=30)  # type: ignore[arg-type]
    assert set(found.frame["run"]) == {run, other}
    event = 45 if x == "step" else 40  # epochs and seconds are known where something was measured
    mine = found.frame[found.frame["run"] == run]
    places = [(step - event) * unit for step in range(0, 400, 10)]
    assert mine["x"].tolist() == pytest.approx([place for place in places if -2 <= place <= 30])
    assert (mine["value"] == mine["step"]).all()


def test_no_event_is_no_row(lab: Lab, told: dict[int, tuple[str, np.ndarray]]) -> None:
    assert lab.traces.bands("study", "loss", events={}).empty
    assert lab.traces.thin("study", "loss", events={}).frame.empty


@pytest.mark.slow
def test_alignment_of_a_large_study_is_fast(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"A": 20, "B": 20})
    steps = np.arange(25_000)
    lab.write(
        job, runs, {"loss": np.random.default_rng(0).normal(size=(40, 25_000)).astype(np.float32)}, steps
    )
    events = {run: 100 * place for place, run in enumerate(runs)}
    began = time.perf_counter()
    bands = lab.traces.bands("study", "loss", events=events)
    crossed = lab.traces.crossings("study", "loss", 3.0)
    assert time.perf_counter() - began < 4
    assert bands["n"].max() == 20
    assert crossed["step"].notna().all()
