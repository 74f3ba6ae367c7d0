import re

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from dashboard.charts import (
    best_values,
    convergence_curves,
    detour_delays,
    dwell_intervals,
    occupancy,
    routes,
    seed_ribbons,
    visit_shares,
)
from dashboard.charts.palette import MUTED, STATES


def drawn(chart):
    """The figure as SVG, which fails where Vega-Lite cannot draw it."""
    spec = chart.to_dict()
    spec["width"] = 400
    return str(vl_convert.vegalite_to_svg(spec))


def texts(svg):
    return re.findall(r">([^<>]+)</text>", svg)


NAN = float("nan")


def delays(tested):
    rows = [
        {"state": "State 1", "verdict": "detour", "is_detour": True, "delay": 30.0, "low": 20.0, "high": 41.0,
         "joint_delay": 28.0, "joint_low": 15.0, "joint_high": 44.0},
        {"state": "State 0", "verdict": "obligatory", "is_detour": False, "delay": NAN, "low": NAN,
         "high": NAN, "joint_delay": NAN, "joint_low": NAN, "joint_high": NAN},
    ]  # fmt: skip
    frame = pd.DataFrame(rows if tested else rows[1:])
    return frame.assign(label=frame["verdict"])


class TestDelays:
    def test_each_state_has_its_colour_and_each_decoy_its_reason(self):
        svg = drawn(detour_delays.chart(delays(True), 2))
        assert STATES[1].lower() in svg.lower()
        assert STATES[0].lower() not in svg.lower()  # not tested: no mark, only its reason
        assert {"State 1", "State 0", "detour", "obligatory"} <= set(texts(svg))

    def test_where_no_state_was_tested_the_reasons_are_left(self):
        assert {"State 0", "obligatory"} <= set(texts(drawn(detour_delays.chart(delays(False), 2))))


class TestCurves:
    times = np.array([10.0, 20.0, 20.0, 30.0, 40.0])
    observed = np.array([True, True, False, True, False])

    def test_the_curve_begins_at_one_and_goes_on_to_the_last_run_seen(self):
        found = convergence_curves.curve(self.times, self.observed, "all")
        # 5 at risk: 4/5; then 4 at risk: 3/4; then 2 at risk: 1/2.
        assert found.steps["step"].to_list() == [0, 10, 20, 30, 40]
        assert found.steps["share"].to_list() == pytest.approx([1, 0.8, 0.6, 0.3, 0.3])
        assert found.steps["at_risk"].to_list() == [5, 5, 4, 2, 1]

    def test_a_run_lost_is_marked_on_the_curve(self):
        found = convergence_curves.curve(self.times, self.observed, "all", "arm")
        assert found.censored["step"].to_list() == [20, 40]
        assert found.censored["share"].to_list() == pytest.approx([0.6, 0.3])
        assert set(found.censored["arm"]) == {"all"}

    def test_a_group_that_never_converges_stays_at_one(self):
        found = convergence_curves.curve(np.array([50.0, 60.0]), np.zeros(2, bool), "none")
        assert found.steps["share"].to_list() == [1, 1]
        assert found.steps["step"].iloc[-1] == 60

    def test_groups_differ_by_colour_and_by_stroke(self):
        curves = [
            convergence_curves.curve(self.times, self.observed, "visited"),
            convergence_curves.curve(self.times + 5, self.observed, "others"),
        ]
        scale = alt.Scale(domain=["visited", "others"], range=[STATES[2], MUTED])
        svg = drawn(convergence_curves.chart(curves, alt.Color("group:N", scale=scale)))
        assert STATES[2].lower() in svg.lower()
        assert MUTED.lower() in svg.lower()
        assert 'stroke-dasharray="6,3"' in svg


def slow_shares(steps, paths, n_states, at):
    """Share of runs in each state at one step, run by run."""
    counts, n = np.zeros(n_states), 0
    for run, path in zip(steps, paths, strict=True):
        if run[0] <= at <= run[-1]:
            counts[path[max(row for row, step in enumerate(run) if step <= at)]] += 1
            n += 1
    return counts / n, n


class TestOccupancy:
    def test_shares_of_runs_on_different_grids_of_unequal_length(self):
        rng = np.random.default_rng(0)
        steps = [np.arange(5, 100, 7), np.arange(0, 60, 3), np.arange(0, 90, 10)]
        paths = [rng.integers(0, 3, len(each)) for each in steps]
        frame = occupancy.shares(steps, paths, 3)
        assert frame["step"].min() == 5
        assert frame["step"].max() == 96
        for at, part in frame.groupby("step"):
            expected, n = slow_shares(steps, paths, 3, at)
            assert part.sort_values("order")["share"].to_numpy() == pytest.approx(expected)
            assert set(part["n"]) == {n}

    def test_long_runs_are_told_at_two_hundred_steps_with_both_ends(self):
        steps = np.arange(5000)
        frame = occupancy.shares([steps], [np.zeros(5000, int)], 2)
        assert frame["step"].nunique() == 200
        assert (frame["step"].min(), frame["step"].max()) == (0, 4999)

    def test_it_is_drawn_in_the_colours_of_the_states(self):
        frame = occupancy.shares([np.arange(4)], [np.array([0, 0, 1, 1])], 2)
        svg = drawn(occupancy.chart(frame, 2)).lower()
        assert all(colour.lower() in svg for colour in STATES[:2])


class TestRoutes:
    def test_a_route_is_a_row_of_its_states_and_a_click_says_which(self):
        blocks = routes.blocks(["0 → 1", "0"], [(0, 1), (0,)])
        assert blocks["route"].to_list() == ["0 → 1", "0 → 1", "0"]
        assert blocks["digit"].to_list() == ["0", "1", "0"]
        told = pd.DataFrame(
            {"route": ["0 → 1", "0"], "row": [0, 1], "length": [2, 1], "text": ["3 runs", "1 run"]}
        )
        chart = routes.chart(blocks, told, "0", 2)
        assert {"3 runs", "1 run"} <= set(texts(drawn(chart)))
        (param,) = chart.to_dict()["params"]
        assert param["name"] == routes.PICK
        assert param["select"]["fields"] == ["route"]

    def test_a_route_without_a_state_keeps_its_row(self):
        told = pd.DataFrame({"route": ["at once"], "row": [0], "length": [0], "text": ["8 runs"]})
        assert "8 runs" in texts(drawn(routes.chart(routes.blocks(["at once"], [()]), told, None, 2)))


def test_ribbons_mark_where_runs_converged_and_a_click_says_which():
    ribbons = pd.DataFrame(
        {"run": ["a", "b"], "start": [0, 0], "end": [50, 70], "state": ["State 0", "State 1"],
         "confidence": [0.9, 0.5]}
    )  # fmt: skip
    ends = pd.DataFrame({"run": ["b", "a"], "label": ["7", "3"], "converged_at": [20.0, NAN]})
    chart = seed_ribbons.chart(ribbons, ends, "a", 2)
    svg = drawn(chart)
    assert svg.count('fill="#1B212B"') == 1  # b converged, a never did
    labels = [text for text in texts(svg) if text in ("7", "3")]
    assert labels == ["7", "3"]  # from top to bottom
    (param,) = chart.to_dict()["params"]
    assert (param["name"], param["select"]["fields"]) == (seed_ribbons.PICK, ["run"])


def test_a_state_that_nobody_left_is_marked_by_its_lower_end():
    frame = pd.DataFrame(
        {"state": ["State 0", "State 1", "State 2"], "stays": [4, 2, 0], "left": [4, 0, 0],
         "mean": [12.0, np.inf, np.inf], "low": [8.0, 30.0, 1.0], "high": [20.0, 900.0, 40.0]}
    )  # fmt: skip
    svg = drawn(dwell_intervals.chart(frame, 3))
    assert "or longer: never left" in texts(svg)
    assert "State 2" not in texts(svg)  # no stay, no row


def test_arms_are_told_apart_by_colour_and_shape():
    frame = pd.DataFrame(
        {"state": ["State 0"] * 2, "arm": ["A", "B"], "happened": [3, 0], "n": [4, 4], "share": [0.75, 0.0],
         "low": [0.3, 0.0], "high": [0.95, 0.49]}
    )  # fmt: skip
    spec = visit_shares.chart(frame, ["A", "B"], ["A", "B"], 1).to_dict()
    encodings = [layer["encoding"] for layer in spec["layer"] if "shape" in layer["encoding"]]
    assert len(encodings) == 1
    assert encodings[0]["color"]["field"] == encodings[0]["shape"]["field"] == "arm"
    assert {"A", "B"} <= set(texts(drawn(visit_shares.chart(frame, ["A", "B"], ["A", "B"], 1))))


def test_best_values_show_the_threshold_they_miss():
    frame = pd.DataFrame({"arm": ["A", "A"], "seed": [0, 1], "best": [0.4, 0.6]})
    assert "threshold" in texts(drawn(best_values.chart(frame, ["A"], 0.9, "Best accuracy")))
