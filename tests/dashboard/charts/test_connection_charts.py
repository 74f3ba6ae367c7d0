import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts import (
    barrier_matrix,
    connection_paths,
    layer_diagnostics,
    loss_plane,
    merges,
    pruning_curves,
)
from dashboard.charts.palette import ARMS_LIGHT, CORRECTIONS, METHOD_NAMES, METHODS, WARNING


def drawn(chart):
    """The figure as SVG, which fails where Vega-Lite cannot draw it."""
    spec = chart.to_dict()
    spec["width"] = 400
    return str(vl_convert.vegalite_to_svg(spec))


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", METHODS)
def test_methods_can_be_seen_on_both_backgrounds(name):
    own = luminance(METHODS[name])
    assert 1.05 / (own + 0.05) > 2.9
    assert (own + 0.05) / (luminance("#12161C") + 0.05) > 2.9
    assert METHODS[name] not in ARMS_LIGHT


def test_every_correction_has_a_stroke_of_its_own():
    assert len(set(CORRECTIONS.values())) == len(CORRECTIONS)


def paths(values):
    lambdas = np.linspace(0, 1, len(values))
    chord = (1 - lambdas) * values[0] + lambdas * values[-1]
    frame = pd.DataFrame({"x": lambdas, "value": values, "chord": chord})
    return frame.assign(path="naive none", method="naive", correction="not corrected")


def barriers(frame):
    rows = frame[frame["value"] == frame["value"].max()].assign(told="chord barrier 1, mean 1")
    return rows.drop(columns=["told"]).assign(told="chord barrier 1, mean 1")


class TestPaths:
    def test_the_barrier_the_chord_and_both_ends_are_named(self):
        frame = paths([0.1, 0.6, 1.1, 0.6, 0.1])
        svg = drawn(connection_paths.chart(frame, barriers(frame), ("SS 0", "SS 1"), "Loss [nats]"))
        for text in ("chord barrier 1, mean 1", "SS 0", "SS 1", "Loss [nats]"):
            assert text in svg
        assert WARNING not in svg

    def test_an_overflow_breaks_the_line_and_is_marked(self):
        frame = paths([0.1, 0.6, np.inf, 0.6, 0.1])
        assert connection_paths.stretches(frame)["stretch"].nunique() == 2
        nothing = barriers(frame).iloc[:0]
        svg = drawn(connection_paths.chart(frame, nothing, ("A", "B"), "Loss"))
        assert WARNING in svg

    @pytest.mark.parametrize("log", [True, False])
    def test_flat_paths_zeros_and_log_axes_are_drawn(self, log):
        for values in ([0.1, 0.1, 0.1], [0.0, 1e-9, 0.0], [0.0, 0.0, 0.0]):
            frame = paths(values)
            drawn(connection_paths.chart(frame, barriers(frame), ("A", "B"), "Loss", log))


def cells(n, value=0.5):
    row, column = np.divmod(np.arange(n * n), n)
    keep = row != column
    frame = pd.DataFrame({"row": row[keep], "column": column[keep]})
    return frame.assign(a="A", b="B", method="naive", value=value, text="0.500", similarity="0.1")


class TestMatrix:
    def test_cells_say_their_numbers_while_there_is_room(self):
        names = [f"SS · seed {at}" for at in range(4)]
        svg = drawn(barrier_matrix.chart(cells(4), names, 1.0, "Barrier [nats]"))
        assert svg.count(">0.500<") == 12
        assert all(name in svg for name in names)
        many = [f"SS · seed {at}" for at in range(30)]
        assert ">0.500<" not in drawn(barrier_matrix.chart(cells(30), many, 1.0, "Barrier"))

    def test_an_overflow_has_a_colour_of_its_own(self):
        frame = cells(3)
        frame.loc[0, ["value", "text"]] = [np.inf, "overflows"]
        svg = drawn(barrier_matrix.chart(frame, list("ABC"), 1.0, "Barrier"))
        assert WARNING in svg
        assert "overflows" in svg

    def test_medians_have_bands_only_where_they_have_intervals(self):
        rows = pd.DataFrame(
            {"step": [0, 64, 640], "method": "naive", "group": "within an arm", "median": [0.1, 0.5, 0.9],
             "low": [0.05, 0.4, 0.8], "high": [0.2, 0.6, 1.0], "pairs": 15}
        )  # fmt: skip
        assert "mark-area" in drawn(barrier_matrix.over_training(rows, "Barrier"))
        few = rows.assign(low=np.nan, high=np.nan)
        assert "mark-area" not in drawn(barrier_matrix.over_training(few, "Barrier"))
        lost = rows.assign(median=[0.1, 0.5, np.inf], high=[0.2, 0.6, np.inf])
        assert WARNING in drawn(barrier_matrix.over_training(lost, "Barrier"))


class TestPlane:
    def test_cells_meet_and_cover_the_plane(self):
        frame = loss_plane.tidy(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0]), np.arange(6.0).reshape(2, 3))
        assert frame["left"].min() == -0.5
        assert frame["right"].max() == 2.5
        assert (frame["high"] - frame["low"] == 2).all()
        assert frame.loc[(frame["x"] == 2) & (frame["y"] == 2), "value"].item() == 5

    @pytest.mark.parametrize("log", [True, False])
    def test_the_three_networks_are_named_and_overflows_marked(self, log):
        values = np.full((5, 5), 0.2)
        values[0, 0], values[1, 1] = np.inf, 2.0
        frame = loss_plane.tidy(np.arange(5.0), np.arange(5.0), values)
        anchors = pd.DataFrame({"name": ["A 0", "A 1", "A 2"], "x": [0.0, 4.0, 2.0], "y": [0.0, 0.0, 3.0]})
        svg = drawn(loss_plane.chart(frame, anchors, (0.2, 2.0), "Loss", log))
        assert all(name in svg for name in anchors["name"])
        assert WARNING in svg
        assert "Infinity" not in svg
        assert "NaN" not in re.sub(r'aria-label="[^"]*"', "", svg)


def test_layers_stand_in_their_order_with_the_reference():
    rows = pd.DataFrame(
        {"method": "naive", "layer": ["z", "a", "head"], "value": [0.7, 0.71, np.nan]}
    )  # fmt: skip
    chart = layer_diagnostics.chart(rows, "half-way / ends", 0.5**0.5)
    assert chart.to_dict()["layer"][1]["encoding"]["x"]["scale"]["domain"] == ["z", "a", "head"]
    svg = drawn(chart)
    assert "mark-rule" in svg
    assert "NaN" not in svg


def test_merges_are_bars_beside_their_members():
    rows = pd.DataFrame(
        {
            "what": ["member", "member", "ensemble", "naive", "mean"],
            "value": [0.97, 0.98, 0.985, np.inf, 0.975], "network": "n",
            "text": ["97%", "98%", "98.5%", "overflows", "97.5%"],
        }
    )  # fmt: skip
    rows["called"] = rows["what"].map(METHOD_NAMES)
    for share in (True, False):
        svg = drawn(merges.chart(rows, "Accuracy", share))
        assert "98.5%" in svg
        assert "overflows" in svg
        assert "matched to the mean" in svg


def test_pruning_has_a_stroke_for_each_correction_and_marks_overflows():
    rows = pd.DataFrame(
        {
            "arm": "SS", "correction": ["not corrected"] * 3 + ["REPAIR"] * 3,
            "sparsity": [0.0, 0.5, 0.99] * 2, "value": [0.1, 0.2, np.inf, 0.1, 0.15, 0.4],
        }
    )  # fmt: skip
    svg = drawn(pruning_curves.chart(rows, ["SS", "RR"], "Loss", False))
    assert WARNING in svg
    assert "stroke-dasharray" in svg
    for text in ("0%", "50%", "99%", "REPAIR"):
        assert f">{text}<" in svg
