"""Thinning against a plain bucket loop in NumPy: no extreme, end or kind of non-finite value is lost."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import thinning
from data.errors import LabError
from tests.data.conftest import Lab

SPECIAL = [np.nan, np.inf, -np.inf]


def kind_of(value: float) -> str:
    return "finite" if np.isfinite(value) else "nan" if np.isnan(value) else "+inf" if value > 0 else "-inf"


def kept(run: int, x: np.ndarray, values: np.ndarray, points: int, low: float, high: float) -> set[int]:
    """Which of a run's points stay: the slow way, one bucket after the other."""
    if len(x) <= points:
        return set(range(len(x)))
    shift = run * 0.6180339887498949 % 1
    buckets = np.floor((x - low) * (points // 4 - 1) / ((high - low) or 1.0) + shift)
    chosen: set[int] = set()
    for bucket in set(buckets):
        inside = [int(i) for i in np.flatnonzero(buckets == bucket)]
        finite = [i for i in inside if np.isfinite(values[i])]
        if finite:
            chosen |= {finite[0], finite[-1]}
            chosen |= {min(finite, key=lambda i: (values[i], i)), min(finite, key=lambda i: (-values[i], i))}
        for kind in ("nan", "+inf", "-inf"):
            chosen |= set([i for i in inside if kind_of(values[i]) == kind][:1])
    return chosen


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    smooth = values.copy()
    for i in range(len(values)):
        near = values[max(0, i - (window - 1) // 2) : i + window // 2 + 1]
        if np.isfinite(values[i]):
            smooth[i] = near[np.isfinite(near)].mean()
    return smooth


value = st.one_of(st.floats(-5, 5, width=32), st.sampled_from([0.0, 1.0, *SPECIAL]), st.none())


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.lists(st.lists(value, min_size=1, max_size=60), min_size=1, max_size=3),
    points=st.integers(4, 30),
    window=st.integers(1, 6),
    x=st.sampled_from(["step", "epoch", "seconds"]),
    bounds=st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(20, 60)),
    live=st.booleans(),
    at_once=st.sampled_from([1, 40, 1 << 20]),
    back=st.booleans(),
)
def test_like_the_plain_loop(
    lab: Lab,
    columns: list[list[float | None]],
    points: int,
    window: int,
    x: str,
    bounds: tuple[int | None, int | None],
    live: bool,
    at_once: int,
    back: bool,
) -> None:
    """`back`: the clock runs back in the middle, as that of a run that was resumed elsewhere."""
    study = f"study{time.time_ns()}"
    job = lab.job(study)
    runs = lab.runs(job, {"SS": len(columns)}, study)
    length = max(map(len, columns))
    array = np.ma.masked_all((len(columns), length), dtype=np.float32)
    for row, column in enumerate(columns):
        for step, each in enumerate(column):
            if each is not None:
                array[row, step] = each
    seconds = np.arange(length) * 0.25
    if back:
        seconds[length // 2 :] -= length * 0.125
    writer = lab.write(job, runs, {"loss": array}, seconds=seconds, live=live)
    scale = {"step": 1.0, "epoch": 0.1, "seconds": 0.25}[x]
    first, last = (None if end is None else end * scale for end in bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thinning, "_ROWS", at_once)
        found = lab.traces.thin(study, "loss", x=x, first=first, last=last, points=points, window=window)  # type: ignore[arg-type]
    writer.close()

    series = []
    for run, row in zip(runs, array, strict=True):
        steps = np.flatnonzero(~row.mask)
        place = {"step": steps * 1.0, "epoch": steps / 10.0, "seconds": seconds[steps]}[x]
        values = moving_mean(np.asarray(row.data[steps], dtype=np.float64), window)
        inside = (place >= (-np.inf if first is None else first)) & (
            place <= (np.inf if last is None else last)
        )
        series.append((run, steps[inside], place[inside], values[inside]))
    places = np.concatenate([place for _, _, place, _ in series])
    expected = {
        (run, int(steps[i])): values[i]
        for run, steps, place, values in series
        for i in (kept(run, place, values, points, places.min(), places.max()) if len(place) else ())
    }
    assert (found.shown, found.total) == (len(expected), len(places))
    assert list(zip(found.frame["run"], found.frame["step"], strict=True)) == sorted(expected)
    np.testing.assert_allclose(found.frame["value"], [expected[key] for key in sorted(expected)], rtol=1e-12)
    assert list(found.frame["kind"]) == [kind_of(each) for each in found.frame["value"]]


def test_every_spike_of_a_long_run_is_kept(lab: Lab) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=(4, 20_000)).astype(np.float32)
    values[0, 777] = 1e30
    values[1, 4321] = -1e30
    values[2, [5, 6, 7]] = SPECIAL
    job = lab.job()
    runs = lab.runs(job, {"SS": 2, "RR": 2})
    lab.write(job, runs, {"loss": values})
    found = lab.traces.thin("study", "loss", points=100)
    assert found.total == 80_000
    assert found.shown == len(found.frame) <= 4 * 100 + 3
    by = found.frame.set_index(["run", "step"])["value"]
    assert by[runs[0], 777] == np.float32(1e30)
    assert by[runs[1], 4321] == np.float32(-1e30)
    assert set(found.frame.query("kind != 'finite'")["kind"]) == {"nan", "+inf", "-inf"}
    clean = found.frame[found.frame["run"] != runs[2]]
    assert (clean["kind"] == "finite").all()
    for place, run in enumerate(runs):
        assert {0, 19_999} <= set(found.frame.query(f"run == {run}")["step"])
        finite = values[place][np.isfinite(values[place])]
        shown = found.frame[(found.frame["run"] == run) & (found.frame["kind"] == "finite")]["value"]
        assert (shown.min(), shown.max()) == (finite.min(), finite.max())
    pd.testing.assert_frame_equal(found.frame, lab.traces.thin("study", "loss", points=100).frame)


def test_a_spike_is_smoothed_where_it_is_and_nowhere_else(lab: Lab) -> None:
    values = np.ones((2, 400))
    values[0, 200], values[1, 100:] = 1e300, 1.7e308
    values[0, 300] = np.inf
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    lab.write(job, runs, {"loss": values}, dtype="float64")
    frame = lab.traces.thin("study", "loss", points=1000, window=151).frame
    assert list(frame.query("kind != 'finite'")[["run", "step"]].to_numpy()[0]) == [runs[0], 300]
    assert len(frame.query("kind != 'finite'")) == 1, "a sum of large values is not their mean"
    first = frame[(frame["run"] == runs[0]) & (frame["step"] != 300)].set_index("step")["value"]
    assert (first[np.abs(first.index - 200) > 75] == 1.0).all()
    assert (first[np.abs(first.index - 200) <= 75] > 1e297).all()


def test_zoom_is_exact(lab: Lab) -> None:
    values = np.random.default_rng(0).normal(size=(2, 5000)).astype(np.float32)
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    lab.write(job, runs, {"loss": values})
    found = lab.traces.thin("study", "loss", first=1000, last=1099, points=100)
    assert found.shown == found.total == 200
    np.testing.assert_array_equal(found.frame["value"].to_numpy().reshape(2, 100), values[:, 1000:1100])
    assert list(found.frame.columns) == [
        "arm",
        "seed",
        "run",
        "step",
        "epoch",
        "seconds",
        "x",
        "value",
        "kind",
    ]
    only = lab.traces.thin("study", "loss", arms=["SS"], seeds=[1], points=100)
    assert set(only.frame["run"]) == {runs[1]}


def test_constant_series_are_thinned_too(lab: Lab) -> None:
    job = lab.job()
    lab.write(job, lab.runs(job, {"SS": 1}), {"loss": np.ones((1, 1000))})
    found = lab.traces.thin("study", "loss", points=40)
    assert found.shown == 20
    assert found.total == 1000


def test_nothing_measured_and_nothing_known(lab: Lab) -> None:
    job = lab.job()
    lab.write(job, lab.runs(job, {"SS": 1}), {"loss": np.ones((1, 5))})
    found = lab.traces.thin("study", "loss", arms=["RR"])
    assert (found.shown, found.total, len(found.frame)) == (0, 0, 0)
    with pytest.raises(LabError, match="`loss`"):
        lab.traces.thin("study", "lass")
    with pytest.raises(LabError, match="Unknown study"):
        lab.traces.thin("studi", "loss")
    for wrong in ({"points": 3}, {"window": 0}, {"x": "time"}):
        with pytest.raises(ValueError, match="must be"):
            lab.traces.thin("study", "loss", **wrong)  # type: ignore[arg-type]
    with pytest.raises(LabError, match="Unknown metric"):
        lab.traces.thin("study", 'x"; DROP TABLE chosen; --')


def test_fast_on_many_runs(lab: Lab) -> None:
    job = lab.job()
    runs = lab.runs(job, {"SS": 150, "RR": 150})
    values = np.random.default_rng(0).normal(size=(300, 3000)).astype(np.float32)
    lab.write(job, runs, {"loss": values})
    lab.traces.thin("study", "loss", points=200)
    best = min(_timed(lab) for _ in range(3))
    assert best < 1.5, f"thinning 300 runs of 3000 steps took {best:.2f} s"


def _timed(lab: Lab) -> float:
    start = time.perf_counter()
    lab.traces.thin("study", "loss", points=200)
    return time.perf_counter() - start
