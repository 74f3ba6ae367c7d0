import re

import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts import ordering_race as race
from dashboard.charts.palette import export_config
from engine.training.orderings import ORDERINGS

K = (16, 32, 64, 128)
EMPTY = pd.DataFrame(columns=["label", "line", "x", "centre", "formula"])


def lines(labels=("SS", "RR"), x=K, names=(race.MEASURED, race.TAIL)):
    rows = [
        {"label": label, "line": line, "x": float(at), "centre": (place + 1.0) / at**2,
         "low": 0.9 * (place + 1) / at**2, "high": 1.1 * (place + 1) / at**2, "n": 8}
        for place, label in enumerate(labels) for line in names for at in x
    ]  # fmt: skip
    return pd.DataFrame(rows)


def theory(label="SS"):
    x = np.geomspace(16, 128, 5)
    return pd.DataFrame(
        {"label": label, "line": race.REFERENCE, "x": x, "centre": 1 / x**2, "formula": "1/(nK²)"}
    )


def drawn(chart):
    """The figure as SVG, which fails where Vega-Lite cannot draw it."""
    spec = chart.to_dict() | {"width": 600, "config": export_config()}
    return str(vl_convert.vegalite_to_svg(spec))


def words(svg):
    return set(re.findall(r">([^<>]+)</text>", svg))


def marks(svg, role="mark-symbol"):
    return [
        group.count("<path") for group in re.findall(rf'<g class="{role} role-mark[^>]*>(.*?)</g>', svg, re.S)
    ]


def test_the_orderings_that_have_a_colour_are_those_there_are():
    assert set(race.ORDERINGS) == set(ORDERINGS)


def test_an_ordering_has_one_colour_whoever_races():
    some = race.colours(["RR", "mine"], ["RR", "RS2"])
    assert some.index("RR") == race.colours(["WR", "SS", "RR"], ["WR", "SS", "RR"]).index("RR")
    assert some.index("mine") == race.ORDERINGS.index("RS2")
    assert len(set(some)) == len(some)


def test_two_models_of_one_ordering_have_two_colours():
    domain = race.colours(["SS", "SS no BN", "RR"], ["SS", "SS", "RR"])
    assert domain[:2] == ["SS", "RR"]
    assert domain[-1] == "SS no BN"


def test_each_point_has_a_mark_and_those_of_the_tail_average_are_hollow():
    svg = drawn(race.chart(lines(), theory(), race.colours(["SS", "RR"], ["SS", "RR"]), "K", "error", K))
    assert marks(svg) == [8, 8]
    assert words(svg) >= {"SS", "RR", *race.LINES, "16", "32", "64", "128"}
    groups = re.findall(r'<g class="mark-symbol role-mark[^>]*>(.*?)</g>', svg, re.S)
    assert [group.count(' fill="#') for group in groups] == [8, 0]


def test_kinds_of_line_that_do_not_occur_are_not_listed():
    svg = drawn(race.chart(lines(names=[race.MEASURED]), EMPTY, ["SS", "RR"], "K", "error", K))
    assert not set(race.LINES) & words(svg)


def test_a_long_line_has_no_marks_but_can_be_read_out():
    chart = race.chart(lines(x=range(1, 60)), EMPTY, ["SS", "RR"], "Epoch", "error").to_dict()
    (points,) = (layer for layer in chart["layer"] if layer["mark"]["type"] == "point")
    assert points["mark"]["opacity"] == 0
    assert "n" in {one["field"] for one in points["encoding"]["tooltip"]}


def test_both_axes_are_logarithmic_and_hold_every_value():
    frame = lines()
    for layer in race.chart(frame, theory(), ["SS", "RR"], "K", "error", K).to_dict()["layer"]:
        for axis, fields in (("x", ["x"]), ("y", ["centre", "low", "high"])):
            scale = layer["encoding"][axis]["scale"]
            assert scale["type"] == "log"
            low, high = scale["domain"]
            assert low <= frame[fields].min().min() <= frame[fields].max().max() <= high


@pytest.mark.parametrize("count", [1, 2])
def test_an_interval_without_ends_and_few_points_can_be_drawn(count):
    frame = lines(["IGM"], K[:count]).assign(low=np.nan, high=np.nan)
    svg = drawn(race.chart(frame, EMPTY, ["IGM"], "K", "error", K[:count]))
    assert marks(svg, "mark-symbol") == [count, count]
