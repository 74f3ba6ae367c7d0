import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts import feature_hulls, order_slopes
from dashboard.charts.palette import WARNING


def drawn(chart):
    """The figure as SVG, which fails where Vega-Lite cannot draw it."""
    spec = chart.to_dict()
    spec["width"] = 300
    return str(vl_convert.vegalite_to_svg(spec))


def marks(svg, role="mark-symbol"):
    """How many marks each group of symbols has, outside legends."""
    return [
        group.count("<path") for group in re.findall(rf'<g class="{role} role-mark[^>]*>(.*?)</g>', svg, re.S)
    ]


def points():
    rows = []
    for panel, shift in (("SS", 2.0), ("full batch", 0.25)):
        for label, side in (("-1", -1), ("+1", 1)):
            square = [(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.5)]
            rows += [(panel, label, side * shift + x - 0.5, y) for x, y in square]
    frame = pd.DataFrame(rows, columns=["panel", "label", "x", "y"])
    frame["example"] = np.arange(len(frame))
    frame["wrong"] = frame["x"] * np.where(frame["label"] == "+1", 1, -1) < -0.1
    return frame


class TestHulls:
    def test_each_class_has_a_closed_outline_without_what_lies_inside(self):
        outline = feature_hulls.corners(points())
        for _, rows in outline.groupby(["panel", "label"]):
            assert len(rows) == 5  # four corners, and the first again
            assert rows[["x", "y"]].iloc[0].tolist() == rows[["x", "y"]].iloc[-1].tolist()
            assert 0.5 not in rows["y"].to_list()

    @pytest.mark.parametrize("count", [1, 2])
    def test_one_or_two_points_have_an_outline_too(self, count):
        few = points().groupby(["panel", "label"]).head(count)
        assert len(feature_hulls.corners(few)) == 4 * (count + 1)
        drawn(feature_hulls.panel(few, "SS", ["-1", "+1"]))

    def test_panels_share_their_axes(self):
        domains = [
            feature_hulls.panel(points(), name, ["-1", "+1"]).to_dict()["layer"][0]["encoding"]["x"]["scale"]
            for name in ("SS", "full batch")
        ]
        assert domains[0] == domains[1]
        low, high = domains[0]["domain"]
        assert low == -high

    def test_examples_on_the_wrong_side_are_ringed(self):
        frame = points()
        for panel in ("SS", "full batch"):
            svg = drawn(feature_hulls.panel(frame, panel, ["-1", "+1"]))
            # Of a square at 0.25 from the decision the two corners towards it are beyond.
            wrong = 0 if panel == "SS" else 4
            assert svg.upper().count(f'STROKE="{WARNING}"') == wrong


class TestSlopes:
    frame = pd.DataFrame(
        {
            "seed": [0, 1, 2, 3],
            "predicted": [0.3, 0.0, 0.0, 5.0],
            "measured": [0.29, -0.01, 0.0, 0.4],
            "verdict": ["GD risk diverges", "no divergence", "bounded", "GD risk diverges"],
            "caution": ["", "", "", "too short"],
        }
    )

    def test_a_seed_is_one_mark_and_doubtful_ones_are_hollow(self):
        svg = drawn(order_slopes.chart(self.frame))
        assert marks(svg) == [3, 1]
        assert svg.upper().count(f'STROKE="{order_slopes.VERDICTS["GD risk diverges"].upper()}"') >= 1

    def test_only_verdicts_that_occur_are_listed(self):
        svg = drawn(order_slopes.chart(self.frame.iloc[:1]))
        words = set(re.findall(r">([^<>]+)</text>", svg))
        assert "GD risk diverges" in words
        assert not {"bounded", "no divergence"} & words

    def test_both_axes_have_the_same_scale(self):
        encoding = order_slopes.chart(self.frame).to_dict()["layer"][1]["encoding"]
        assert encoding["x"]["scale"] == encoding["y"]["scale"]
        low, high = encoding["x"]["scale"]["domain"]
        assert low < -0.01 < 5.0 < high
