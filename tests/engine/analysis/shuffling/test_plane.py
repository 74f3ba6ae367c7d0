import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.shuffling import hull, plane


def inside(point: np.ndarray, corners: np.ndarray) -> bool:
    """Whether a point lies left of every edge of an anticlockwise polygon, or on it."""
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0]) < -1e-9:
            return False
    return True


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=20))
def test_the_hull_is_convex_and_holds_every_point(points: list[tuple[int, int]]) -> None:
    rows = np.array(points, dtype=float)
    corners = rows[hull(rows)]
    assert len({tuple(one) for one in corners}) == len(corners)
    if len(corners) > 2:
        assert all(inside(point, corners) for point in rows)
    else:
        # On a line: every point lies between its ends.
        ends = corners[[0, -1]]
        along = ends[1] - ends[0]
        for point in rows:
            off = (point - ends[0])[0] * along[1] - (point - ends[0])[1] * along[0]
            assert abs(off) < 1e-9
            assert -1e-9 <= (point - ends[0]) @ along <= along @ along + 1e-9


def test_the_first_coordinate_is_the_distance_to_the_decision() -> None:
    rng = np.random.default_rng(0)
    direction, features = rng.normal(size=5), rng.normal(size=(40, 5)) * [5, 1, 1, 1, 1]
    found = plane(direction, features, offset=0.7)
    outputs = features @ direction + 0.7
    np.testing.assert_allclose(found.of(features)[:, 0], outputs / np.linalg.norm(direction))
    np.testing.assert_allclose(found.axes @ found.axes.T, np.eye(2), atol=1e-12)
    # No other axis beside the direction holds more of the features.
    held = ((features @ found.axes[1]) ** 2).sum()
    for other in rng.normal(size=(200, 5)):
        other -= (other @ found.axes[0]) * found.axes[0]
        assert ((features @ other) ** 2).sum() / (other @ other) <= held + 1e-9
    assert 0 < found.shown < 1


def test_in_two_dimensions_nothing_is_hidden_and_in_one_the_other_axis_is_empty() -> None:
    features = np.random.default_rng(1).normal(size=(9, 2))
    assert plane(np.array([1.0, 2.0]), features).shown == pytest.approx(1)
    flat = plane(np.array([2.0]), features[:, :1])
    np.testing.assert_array_equal(flat.of(features[:, :1])[:, 1], 0)
    with pytest.raises(ValueError, match="must not be 0"):
        plane(np.zeros(2), features)
