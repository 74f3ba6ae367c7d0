import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts import order_outcomes
from dashboard.charts.order_slopes import VERDICTS


def outcomes(slopes=(0.5, 0.2, 0.0, 0.0), verdicts=None):
    n = len(slopes)
    edges = np.linspace(0, 1, n + 1)
    return pd.DataFrame(
        {
            "first": edges[:-1], "last": edges[1:], "slope": slopes,
            "verdict": verdicts or ["GD risk diverges", "GD risk diverges", "no divergence", "bounded"],
            "margin": 0.1, "orders": 3, "doubtful": [False, True] + [False] * (n - 2), "batches": "0 1 | 2 3",
        }
    )  # fmt: skip


def drawn(frame):
    spec = order_outcomes.chart(frame).to_dict()
    spec["width"] = 700
    return str(vl_convert.vegalite_to_svg(spec))


def groups(svg, role):
    return [
        group.count("<path") for group in re.findall(rf'<g class="{role} role-mark[^>]*>(.*?)</g>', svg, re.S)
    ]


def test_each_growing_batching_is_a_bar_and_each_verdict_a_stretch():
    svg = drawn(outcomes())
    assert groups(svg, "mark-rect") == [2, 3]
    for colour in VERDICTS.values():
        assert colour in svg
    assert "GD risk diverges · 50.0%" in svg
    assert svg.count(">no divergence<") == 1  # in the one legend


def test_the_widest_bar_is_as_wide_as_its_share_and_as_high_as_its_slope():
    spec = order_outcomes.chart(outcomes()).to_dict()
    x, y = (spec["layer"][1]["encoding"][axis] for axis in "xy")
    assert x["scale"]["domain"] == [0, 1]
    assert y["scale"]["domain"][0] == 0
    assert 0.5 < y["scale"]["domain"][1] < 0.6


def test_stretches_cover_all_orders_without_a_gap():
    found = order_outcomes.runs(outcomes())
    assert found["verdict"].to_list() == ["GD risk diverges", "no divergence", "bounded"]
    assert found["first"].to_list() == [0.0, 0.5, 0.75]
    assert found["last"].to_list() == [0.5, 0.75, 1.0]
    assert found["share"].sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("slopes", "verdicts", "bars"),
    [
        ((0.0, 0.0), ["bounded", "bounded"], [1]),
        ((np.nan, 0.3), ["GD risk diverges", "GD risk diverges"], [1, 1]),
        ((np.nan, np.nan), ["GD risk diverges", "GD risk diverges"], [1]),
    ],
)
def test_slopes_that_are_none_leave_no_nan(slopes, verdicts, bars):
    svg = drawn(outcomes(slopes, verdicts))
    assert "NaN" not in svg
    assert [one for one in groups(svg, "mark-rect") if one] == bars
    assert sum(groups(svg, "mark-symbol")) == int(np.isnan(slopes).sum())
