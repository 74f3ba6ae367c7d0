import json

import pytest

from dashboard.charts.palette import STATES
from dashboard.fits import load
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


def aligned(root):
    """Return the fit of the store, with the step at which each run enters state 2."""
    store = open_store(root)
    (row,) = store.catalog.analyses("digits-shuffling", "latent")
    moments = load(store, row).moments(None, 2)
    return store, moments


def test_traces_are_aligned_at_a_change_of_state(lab, view):
    store, moments = aligned(lab("full"))
    link = {"traces.align": "Change of latent state", "traces.move": "Entry into State 2"}
    app = view("traces", **link)
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "0 is entry into State 2" in text
    assert "SS 8 of 8, RR 8 of 8, SS no BN 0 of 8, RR no BN 0 of 8; the others are left out" in text
    drawn = spec(app)
    rule = drawn["layer"][0]["layer"][0]
    assert rule["mark"]["type"] == "rule"
    assert rule["mark"]["color"] == STATES[2]
    table = store.traces.bands("digits-shuffling", "full_batch_risk", events=moments)
    store.close()
    assert set(table["arm"]) == {"SS", "RR"}
    assert app.selectbox(key="traces.move").value == "Entry into State 2"
    near = view("traces", **link, **{"traces.step.around": "320"})
    assert not near.exception
    assert near.number_input(key="traces.step.around").value == 320
    assert "SS 8 of 8" in words(near)


def test_traces_are_aligned_at_a_threshold_exactly(lab, view):
    store = open_store(lab("full"))
    app = view("traces", **{"traces.align": "Metric at a threshold", "seeds": "1"})
    assert not app.exception
    assert not app.error
    assert "0 is test accuracy ≥ 0.9" in words(app)
    frame = store.traces.frame("digits-shuffling", ["test_accuracy"], arms=["SS"], seeds=[1])
    store.close()
    beyond = (frame["test_accuracy"] >= 0.9).to_numpy()
    first = next(t for t in range(len(beyond)) if beyond[t : t + 3].all())
    rows = app.dataframe[0].value
    mine = rows[(rows["arm"] == "SS") & (rows["what"] == "seed")]
    assert mine.loc[mine["x"] == 0, "step"].tolist() == [frame["step"][first]]
    assert (mine["step"] - mine["x"] == frame["step"][first]).all()


def test_traces_are_aligned_at_divergence_and_runs_without_it_counted(lab, view):
    lab("full")
    app = view("traces", **{"traces.align": "Divergence", "x": "epoch"})
    assert not app.exception
    assert not app.error
    assert "SS 0 of 8, RR 1 of 8" in words(app)
    rows = app.dataframe[0].value
    assert set(rows["arm"]) == {"RR"}
    assert rows["x"].max() == 0  # nothing is measured after a divergence
    running = lab("running")
    assert running.exists()
    assert "No run has this event: divergence" in words(view("traces", **{"traces.align": "Divergence"}))
    none = words(view("traces", **{"traces.align": "Change of latent state"}))
    assert "No run has this event: a change of latent state; none have been fitted" in none


def test_bands_of_aligned_traces_end_where_half_of_the_runs_do(lab, view):
    lab("full")
    app = view("traces", **{"traces.align": "Change of latent state", "traces.move": "Entry into State 1"})
    rows = app.dataframe[0].value
    bands = rows[rows["what"] == "arm"]
    for _, own in bands.groupby("arm"):
        assert own["n"].min() >= own["n"].max() / 2
    assert rows.loc[rows["what"] == "seed", "x"].min() < bands["x"].min()
