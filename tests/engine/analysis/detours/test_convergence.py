import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.detours import converged_at


def first_by_looking(values: list[float], threshold: float, patience: int) -> float | None:
    for row in range(len(values) - patience + 1):
        if all(value >= threshold for value in values[row : row + patience]):
            return float(row)
    return None


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0, float("nan"), float("inf")]), max_size=20),
    st.integers(1, 5),
)
def test_is_the_first_row_of_enough_rows_beyond(values: list[float], patience: int) -> None:
    metric = np.array(values, dtype=float)
    expected = first_by_looking(values, 0.5, patience)
    assert converged_at([metric], 0.5, patience=patience) == [expected]
    assert converged_at([-metric], -0.5, "below", patience) == [expected]


def test_a_crossing_that_does_not_stay_is_none_and_steps_are_the_runs_own() -> None:
    runs = [np.array([0, 1, 0, 1, 1.0]), np.array([0, 1, 1, 1.0])]
    steps = [np.arange(5) * 10, np.array([0, 7, 9, 100])]
    assert converged_at(runs, 1.0, steps=steps) == [None, 7.0]
    assert converged_at(runs, 1.0, patience=2, steps=steps) == [30.0, 7.0]


def test_refuses() -> None:
    with pytest.raises(ValueError, match="`patience`"):
        converged_at([np.zeros(3)], 0.5, patience=0)
    with pytest.raises(ValueError, match="`steps`"):
        converged_at([np.zeros(3)], 0.5, steps=[np.arange(2)])
