import numpy as np
import pytest

from engine.analysis.shuffling import on_one_grid


def test_every_run_has_its_last_value_at_each_step_of_the_longest() -> None:
    rng = np.random.default_rng(0)
    steps = [np.array([0, 10, 20, 30]), np.array([0, 5, 20]), np.array([10, 30])]
    values = [rng.normal(size=(len(one), 2)) for one in steps]
    grid, placed = on_one_grid(steps, values)
    assert grid.tolist() == [0, 10, 20, 30]
    for run in range(3):
        for place, step in enumerate(grid):
            before = [i for i, at in enumerate(steps[run]) if at <= step]
            if not before or step > steps[run][-1]:
                assert np.isnan(placed[run, place]).all()
            else:
                np.testing.assert_array_equal(placed[run, place], values[run][before[-1]])


def test_refuses_runs_without_a_step() -> None:
    for steps in ([], [np.array([], dtype=int)]):
        with pytest.raises(ValueError, match="`steps`"):
            on_one_grid(steps, [np.empty((0, 1)) for _ in steps])
