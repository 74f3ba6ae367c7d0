"""Blocks against plain loops: whichever way rows were sealed, summed up or still live, the answer is one."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import aligning, events, sealing
from data.summaries import BLOCK, SIZES, WIDE
from data.traces import TraceWriter
from tests.data.conftest import Lab
from tests.data.test_banding import check
from tests.data.test_thinning import kind_of

few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Point(NamedTuple):
    run: int
    step: int
    x: float
    value: float | None


def traces(seed: int) -> list[Point]:
    """Return ragged runs with gaps, over twenty or sixty blocks, ordered by run and step; x need not rise."""
    rng = np.random.default_rng(seed)
    points = []
    odd = rng.choice([0.0, 0.02, 0.3])
    rising = rng.random() < 0.5
    span = int(rng.choice([20, 60]))
    for run in range(3):
        count = int(rng.choice([5, 60, 100]))
        steps = np.sort(rng.choice(span * BLOCK, size=count, replace=False)) - (
            100 if rng.random() < 0.2 else 0
        )
        for step in steps.tolist():
            special = [np.nan, np.inf, -np.inf, None, None, 0.0]
            value = (
                rng.choice(np.array(special, dtype=object))
                if rng.random() < odd
                else np.float32(rng.normal())
            )
            x = step / 100 if rising else round(rng.random(), 1)
            points.append(Point(run, step, np.nan if rng.random() < odd / 10 else x, value))
    return points


def write(lab: Lab, study: str, points: list[Point], parts: int, mixed: bool, live: bool) -> TraceWriter:
    """Write the points in parts that are sealed one by one, not merged; mixed ones share their blocks."""
    job = lab.job(study)
    runs = lab.runs(job, {"A": 2, "B": 1}, study)
    writer = TraceWriter(lab.store, job, ["loss", "other"], seal_bytes=1)
    for number in range(parts):
        even = [min(max(point.step, 0) * parts // (20 * BLOCK), parts - 1) for point in points]
        own = [point.step % parts for point in points] if mixed else even
        part = [point for point, where in zip(points, own, strict=True) if where == number]
        if not part:
            continue
        writer._seal_bytes = 1 << 30 if live and number == parts - 1 else 1
        values = np.ma.array([0.0 if each.value is None else each.value for each in part])
        values[[each.value is None for each in part]] = np.ma.masked
        x = np.array([each.x for each in part])
        writer.write(
            [runs[each.run] for each in part], [each.step for each in part], x, x,
            {"loss": values, "other": np.sin([each.step for each in part])},
        )  # fmt: skip
        writer.flush()
    return writer


def in_blocks(
    points: list[Point], first: float | None, last: float | None, enough: int
) -> dict[int, list[list[Point]]] | None:
    """Return each run's blocks that have a measured point in the range, the slow way.

    They are the widest of which a run has enough, narrow ones within ends; None where not even these are.
    """
    for size in (BLOCK,) if (first, last) != (None, None) else reversed(SIZES):
        blocks = in_blocks_of(size, points, first, last)
        if max(map(len, blocks.values()), default=0) >= enough:
            return blocks
    return None


def in_blocks_of(
    size: int, points: list[Point], first: float | None, last: float | None
) -> dict[int, list[list[Point]]]:
    found: dict[int, dict[int, list[Point]]] = {}
    for point in points:
        if np.isfinite(point.x) and (first is None or point.x >= first) and (last is None or point.x <= last):
            found.setdefault(point.run, {}).setdefault(point.step // size, []).append(point)
    kept = {
        run: [rows for rows in blocks.values() if any(row.value is not None for row in rows)]
        for run, blocks in found.items()
    }
    return {run: blocks for run, blocks in kept.items() if blocks}


def kept_of(stretch: list[Point]) -> set[int]:
    finite = [row for row in stretch if row.value is not None and np.isfinite(row.value)]
    chosen = {finite[0].step, finite[-1].step} if finite else set()
    if finite:
        chosen.add(min(finite, key=lambda row: (row.value, row.step)).step)
        chosen.add(min(finite, key=lambda row: (-(row.value or 0.0), row.step)).step)
    for kind in ("nan", "+inf", "-inf"):
        chosen |= {
            row.step for row in [r for r in stretch if r.value is not None and kind_of(r.value) == kind][:1]
        }
    return chosen


@few
@given(
    seed=st.integers(0, 1 << 32),
    parts=st.integers(1, 3),
    mixed=st.booleans(),
    bounds=st.tuples(st.none() | st.floats(0, 0.2), st.none() | st.floats(0.7, 1)),
    x=st.sampled_from(["step", "epoch", "seconds"]),
    how=st.sampled_from(["sealed", "live", "unsummed"]),
)
def test_thinned_and_spread_by_blocks_like_the_plain_loop(
    lab: Lab,
    seed: int,
    parts: int,
    mixed: bool,
    bounds: tuple[float | None, float | None],
    x: Any,
    how: str,
) -> None:
    points = traces(seed)
    study = f"study{len(lab.catalog.studies())}"
    with pytest.MonkeyPatch.context() as patch:
        if how == "unsummed":
            patch.setattr(sealing, "_sum_up", lambda connection: None)
        writer = write(lab, study, points, parts, mixed, how == "live")
    if x == "step":
        points = [each._replace(x=float(each.step)) for each in points]
    places = [each.x for each in points if np.isfinite(each.x)]
    first, last = (None if end is None else end * max(places, default=0.0) for end in bounds)
    _thin(lab, study, points, x, first, last)
    _bands(lab, study, points, x, first, last)
    writer.close()


def _thin(lab: Lab, study: str, points: list[Point], x: Any, first: float | None, last: float | None) -> None:
    blocks = in_blocks(points, first, last, 8)
    if blocks is None:
        return
    found = lab.traces.thin(study, "loss", x=x, first=first, last=last, points=8)
    lows = [min(row.x for row in rows) for each in blocks.values() for rows in each]
    highs = [max(row.x for row in rows) for each in blocks.values() for rows in each]
    width = (max(highs) - min(lows)) or 1.0
    ids = [run for run, _, _ in sorted((run.id, run.arm, run.seed) for run in lab.catalog.runs(study))]
    expected, total = set(), 0
    for run, each in blocks.items():
        measured = [row.step for rows in each for row in rows if row.value is not None]
        total += len(measured)
        stretches: dict[float, list[Point]] = {}
        for rows in each:
            shift = ids[run] * 0.6180339887498949 % 1
            bucket = np.floor((min(row.x for row in rows) - min(lows)) / width + shift)
            stretches.setdefault(bucket, []).extend(rows)
        steps = set(measured) if len(measured) <= 8 else set().union(*map(kept_of, stretches.values()))
        expected |= {(ids[run], step) for step in steps}
    assert (found.shown, found.total) == (len(expected), total)
    assert list(zip(found.frame["run"], found.frame["step"], strict=True)) == sorted(expected)
    values = {(ids[point.run], point.step): (point.value, point.x) for point in points}
    wanted = [values[key] for key in sorted(expected)]
    np.testing.assert_array_equal(found.frame["value"], np.float32([each for each, _ in wanted]))
    np.testing.assert_array_equal(found.frame["x"], [at for _, at in wanted])


def _bands(
    lab: Lab, study: str, points: list[Point], x: Any, first: float | None, last: float | None
) -> None:
    blocks = in_blocks(points, first, last, 3)
    if blocks is None:
        return
    ends = (first, last)
    size = BLOCK if in_blocks_of(BLOCK, points, *ends) == blocks else WIDE
    found = lab.traces.bands(study, "loss", x=x, first=first, last=last, points=6)
    every = [(run, rows) for run, each in blocks.items() for rows in each]
    lows = [min(row.x for row in rows) for _, rows in every]
    highs = [max(row.x for row in rows) for _, rows in every]
    numbers = [rows[0].step // size for _, rows in every]
    longest = max(
        sum(row.value is not None for run, rows in every if run == one for row in rows) for one in blocks
    )
    cells: dict[tuple[str, float], list[tuple[int, list[Point], float]]] = {}
    for (run, rows), high, number in zip(every, highs, numbers, strict=True):
        if x == "step":
            cell = float((number - min(numbers)) // int(np.ceil((max(numbers) - min(numbers) + 1) / 6)))
        else:
            count = max(min(6, longest if x == "seconds" else 6) - 1, 1)
            cell = float(np.ceil((high - min(lows)) * count / ((max(highs) - min(lows)) or 1.0)))
        arm = "B" if run == 2 else "A"  # runs are in the order of arm and seed
        cells.setdefault((arm, cell), []).append((run, rows, high))
    right = {
        cell: max(high for (_, at), each in cells.items() if at == cell for _, _, high in each)
        for _, cell in cells
    }
    assert len(found) == len(cells)
    rows_found = {(row["arm"], row["x"]): row for row in found.to_dict("records")}
    for (arm, cell), each in cells.items():
        row = rows_found[arm, right[cell]]
        of = {
            run: [
                point.value
                for other, rows, _ in each
                if other == run
                for point in rows
                if point.value is not None
            ]
            for run in {run for run, _, _ in each}
        }
        finals = np.array([values[-1] for values in of.values()], dtype=np.float32)
        everything = np.array([each for values in of.values() for each in values], dtype=np.float32)
        check(row, finals, everything)
        assert row["n_nonfinite"] == sum(not np.isfinite(values).all() for values in of.values())
        assert row["n_runs"] == (1 if arm == "B" else 2)


@few
@given(
    seed=st.integers(0, 1 << 32),
    parts=st.integers(1, 3),
    mixed=st.booleans(),
    live=st.booleans(),
    threshold=st.floats(-2, 2),
    direction=st.sampled_from(["above", "below"]),
    patience=st.integers(1, 4),
    share=st.floats(0.01, 1),
)
def test_ends_grids_and_crossings_by_blocks_as_by_rows(
    lab: Lab,
    seed: int,
    parts: int,
    mixed: bool,
    live: bool,
    threshold: float,
    direction: Any,
    patience: int,
    share: float,
) -> None:
    study = f"study{len(lab.catalog.studies())}"
    writer = write(lab, study, traces(seed), parts, mixed, live)
    answers = []
    for enough in (1, 1 << 30):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aligning, "LONG", enough)
            patch.setattr(events, "LONG", enough)
            ends = lab.traces.last(study, ["loss", "other"], share=share)
            crossed = lab.traces.crossings(study, "loss", threshold, direction, patience)
            asked = (["other"], ["loss", "other"], ["loss"])
            grids = [one for names in asked for one in lab.traces.matrices(study, names, max_steps=7)]
        answers.append((ends, crossed, grids))
    writer.close()
    (ends, crossed, grids), (slow_ends, slow_crossed, slow_grids) = answers
    pd.testing.assert_frame_equal(ends, slow_ends, rtol=1e-12)
    pd.testing.assert_frame_equal(crossed, slow_crossed)
    for one, other in zip(grids, slow_grids, strict=True):
        assert one[:3] == other[:3]
        np.testing.assert_array_equal(one.steps, other.steps)
        np.testing.assert_array_equal(one.values, other.values)
