import json

import pytest

from data.store import open_store
from tests.dashboard.conftest import words


def spec(app):
    return json.loads(app.get("vega_lite_chart")[0].proto.spec)


def test_a_metric_is_drawn_with_bands_lines_and_what_they_stand_for(lab, view):
    lab("full")
    app = view("traces")
    assert not app.exception
    text = words(app)
    assert "median over seeds" in text
    assert "RR: 1 seed diverged and dropped out (7)" in text
    assert "points" in text
    assert spec(app)["layer"][0]["encoding"]["y"]["scale"]["type"] == "log"


def test_seeds_that_stopped_at_the_goal_are_named(lab, view):
    store = open_store(lab("full"))
    ids = [run.id for run in store.catalog.runs("digits-shuffling") if run.arm == "SS" and run.seed < 2]
    store.catalog.update_runs(
        [{"id": id, "converged_at": 640, "converged_what": "test_accuracy is 0.97"} for id in ids]
    )
    store.close()
    assert "SS: 2 seeds reached the study's goal and stopped (0, 1)" in words(view("traces"))


def test_values_that_no_log_axis_can_show_are_counted_and_marked(lab, view):
    lab("full")
    app = view("traces", metric="Own-batch risk")
    assert not app.exception
    assert "1 NaN" in words(app)
    assert "3 zero or less" in words(app)
    low, high = spec(app)["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert 0 < low < high < 1e3
    linear = view("traces", **{"metric": "Own-batch risk", "traces.scale": "linear"})
    assert "zero or less" not in words(linear)


@pytest.mark.parametrize("x", ["step", "epoch", "seconds"])
@pytest.mark.parametrize("band", ["Median, quantiles", "Mean, t interval", "No band"])
def test_every_axis_and_band_is_drawn(lab, view, x, band):
    lab("full")
    app = view(
        "traces",
        **{"x": x, "traces.band": band, "traces.smoothing": "5 points", "traces.more": "Frobenius norm"},
    )
    assert not app.exception
    assert not app.error
    assert len(app.get("vega_lite_chart")) == 2


def test_a_link_restores_the_controls_and_bad_values_fall_back(lab, view):
    lab("full")
    app = view(
        "traces",
        **{
            "arms": ["SS", "RR"],
            "seeds": "0..3",
            "metric": "Frobenius norm",
            "x": "epoch",
            "traces.epoch.range": ["5", "40"],
        },
    )
    assert app.multiselect(key="arms").value == ["SS", "RR"]
    assert app.text_input(key="seeds").value == "0..3"
    assert app.selectbox(key="metric").value == "Frobenius norm"
    assert app.slider(key="traces.epoch.range").value == (5, 40)
    bad = view(
        "traces",
        **{"study": "none", "arms": "?", "seeds": "9..", "metric": "?", "x": "?",
           "traces.step.range": ["-5", "1e9"],
           "traces.band": "?", "traces.smoothing": "-1"},
    )  # fmt: skip
    assert not bad.exception
    assert not bad.error
    assert bad.selectbox(key="metric").value == "Full-batch risk"
    assert bad.warning


def test_hiding_seeds_never_moves_a_band(lab, view):
    root = lab("full")
    whole = open_store(root).traces.bands("digits-shuffling", "full_batch_risk", points=300)
    app = view("traces", seeds="0")
    assert not app.exception
    assert "SS 8" in words(app)
    assert whole["n"].max() == 8


def test_a_running_study_is_drawn_as_far_as_it_is(lab, view):
    lab("running")
    app = view("traces")
    assert not app.exception
    assert not app.error
    assert app.get("vega_lite_chart")
