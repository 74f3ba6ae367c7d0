import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.charts import edges

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def frame(values):
    values = np.asarray(values, dtype=float)
    kinds = np.where(np.isnan(values), "nan", np.where(values == np.inf, "+inf", "-inf"))
    return pd.DataFrame(
        {
            "arm": "SS",
            "seed": np.arange(len(values)) % 3,
            "x": np.arange(len(values), dtype=float),
            "value": values,
            "kind": np.where(np.isfinite(values), "finite", kinds),
        }
    )


@given(st.lists(NUMBERS, max_size=80), st.booleans())
def test_every_point_is_drawn_or_counted_at_the_edge(values, log):
    drawn, lost = edges.split(frame(values), log)
    assert len(drawn) + (int(lost["count"].sum()) if len(lost) else 0) == len(values)
    assert np.isfinite(drawn["value"]).all()
    assert not log or (drawn["value"] > 0).all()


def test_kinds_are_told_apart():
    _, lost = edges.split(frame([1, 0, -2, np.nan, np.inf, -np.inf]), log=True)
    assert dict(lost.groupby("kind")["count"].sum()) == {"NaN": 1, "+∞": 1, "−∞": 1, "zero or less": 2}
    _, linear = edges.split(frame([1, 0, -2, np.nan, np.inf, -np.inf]), log=False)
    assert dict(linear.groupby("kind")["count"].sum()) == {"NaN": 1, "+∞": 1, "−∞": 1}


@given(st.lists(NUMBERS, max_size=30), st.booleans())
@example([1.1220184543019196e308], True)
@example([5e-324], True)
@example([1.7976931348623157e308, -1.7976931348623157e308], False)
def test_a_domain_is_finite_and_holds_what_is_drawn(values, log):
    low, high = edges.domain(np.array(values, dtype=float), log)
    assert np.isfinite([low, high]).all()
    assert low < high
    shown = [value for value in values if np.isfinite(value) and (value > 0 or not log)]
    assert all(low <= value <= high for value in shown)
    assert not log or low > 0


@pytest.mark.parametrize(
    ("low", "high", "places"),
    [
        (0.004, 60, [0.01, 0.1, 1, 10]),
        (0.04, 3, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (1e-30, 1e3, None),
    ],
)
def test_a_log_axis_has_few_lines_at_round_places(low, high, places):
    found = edges.ticks(low, high, log=True)
    assert found is not None
    assert len(found) <= 8
    assert all(low <= place <= high for place in found)
    if places is not None:
        assert found == pytest.approx(places)
    assert edges.ticks(low, high, log=False) is None
