import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dashboard.charts import dwell, ribbons, transitions
from dashboard.fits import Fit


def test_stretches_cover_a_run_without_a_gap_and_keep_its_states():
    rng = np.random.default_rng(0)
    steps = np.arange(0, 3200, 32)
    path = rng.integers(0, 3, len(steps))
    frame = ribbons.stretches(steps, path, rng.uniform(0.3, 1, len(steps)), "SS", 4)
    assert (frame["start"].to_numpy()[1:] == frame["end"].to_numpy()[:-1]).all()
    assert frame["start"].iloc[0] == 0
    assert frame["end"].iloc[-1] == 3200
    for step, state in zip(steps, path, strict=True):
        covering = frame[(frame["start"] <= step) & (step < frame["end"])]
        assert list(covering["state"]) == [f"State {state}"]


def test_cells_tell_the_state_that_most_of_their_points_are_in():
    rng = np.random.default_rng(1)
    steps = np.sort(rng.choice(5000, 700, replace=False))
    path = rng.integers(0, 3, 700)
    confidence = rng.uniform(0.3, 1, 700)
    frame = ribbons.stretches_of([(steps, path, confidence, "SS", 4)], cell=100)
    cells: dict[int, list[int]] = {}
    for row, step in enumerate(steps):
        cells.setdefault((step - steps[0]) // 100, []).append(row)
    assert len(frame) <= len(cells)
    assert (frame["start"].to_numpy()[1:] == frame["end"].to_numpy()[:-1]).all()
    for rows in cells.values():
        counts = [sum(path[row] == state for row in rows) for state in range(3)]
        state = counts.index(max(counts))
        at = steps[rows[0]]
        told = frame[(frame["start"] <= at) & (at < frame["end"])].iloc[0]
        assert told["state"] == f"State {state}"
        if told["start"] == at and (told["end"] - at) <= 100:
            own = [confidence[row] for row in rows if path[row] == state]
            assert told["confidence"] == pytest.approx(np.mean(own))


def test_forty_flickering_seeds_are_drawn_with_few_marks_and_soon():
    rng = np.random.default_rng(0)
    steps, runs = np.arange(1000) * 10, 48
    summary = {
        "n_states": 4,
        "runs": [{"run": seed, "arm": "SS", "seed": seed, "steps": 1000} for seed in range(runs)],
    }
    path = rng.integers(0, 4, 1000 * runs)
    arrays = {
        "offsets": np.arange(runs + 1) * 1000,
        "path": path,
        "posterior": rng.dirichlet(np.ones(4), 1000 * runs),
        "steps": np.tile(steps, runs),
    }
    fit = Fit(SimpleNamespace(summary=summary), arrays)
    began = time.perf_counter()
    frame, cell = fit.stretches("SS", None)
    assert time.perf_counter() - began < 1.5
    assert cell is not None
    assert runs < len(frame) <= 6000 + runs
    assert frame["row"].nunique() == runs
    few, whole = fit.stretches("SS", (3,))
    assert whole is None
    assert len(few) > 700


def test_a_figure_of_many_seeds_is_no_taller_than_of_thirty_six():
    def height(rows):
        frame = pd.DataFrame(
            {"row": list(map(str, range(rows))), "start": 0, "end": 9, "state": "State 0", "confidence": 1.0}
        )
        loss = pd.DataFrame({"row": ["0"], "x": [0.0], "value": [1.0]})
        return ribbons.chart(frame, loss, list(frame["row"]), 2, "loss", False).height

    assert height(10) < height(30) < height(48) == height(100) < height(500)


def test_visits_count_steps_and_mark_the_one_that_the_end_cut_short():
    frame = dwell.visits([(np.array([0, 10, 20, 30, 40]), np.array([0, 0, 1, 1, 0]), "SS", 3)])
    assert list(frame["steps"]) == [20, 20, 0]
    assert list(frame["censored"]) == [False, False, True]


def test_moves_are_shares_of_departures():
    moves = transitions.edges(np.array([[0.9, 0.08, 0.02], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]))
    found = {(a, b): p for a, b, p in moves.itertuples(index=False)}
    assert found == {(0, 1): 0.08 / 0.1, (0, 2): 0.02 / 0.1, (2, 0): 1.0} or np.allclose(
        [found[0, 1], found[0, 2], found[2, 0]], [0.8, 0.2, 1.0]
    )
    assert set(found) == {(0, 1), (0, 2), (2, 0)}
