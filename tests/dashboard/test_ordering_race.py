"""The panel headless, on made-up errors whose rates are known."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.race_groups import entrants
from dashboard.race_rates import references
from engine.studies import study
from tests.dashboard.conftest import words
from tests.engine.studies.synthetic import record

POWERS = {"WR": -1.0, "IGM": -2.0, "SS": -2.0, "RR": -3.0, "FlipFlop-RR": -4.0, "GraB": -2.0, "RS2": -1.0}
SEEDS = 6


def page():
    from dashboard import ordering_race
    from dashboard.controls import choose
    from dashboard.lab import find_lab

    lab = find_lab()
    choice = choose(lab.store, arms=False, seeds=False)
    ordering_race.show(lab, choice, lab.store.traces.version(choice.study.name))


def ends(arm, seed):
    """Errors of exact powers of K; IGM's the same for every seed."""
    name, _, epochs = arm.name.rpartition(" K=")
    constant = 1.0 if name == "IGM" else np.random.default_rng([seed, len(name)]).lognormal(0, 0.3)
    power = POWERS[name] + (0.02 * (seed - (SEEDS - 1) / 2) if name == "RR" else 0.0)
    error = constant * float(epochs) ** power
    return {"excess_risk": np.array([9.0, error]), "tail_excess_risk": np.array([np.nan, error / 2])}


def over_epochs(arm, seed):
    steps = np.arange(41)
    own = 2.0 if "RR" in arm.name else 1.0
    return {"full_batch_risk": own / (steps + 1.0) * (1 + 0.01 * seed)}


def laid(root, monkeypatch, definition, curves, steps, status=None):
    runs = {(arm.name, seed): curves(arm, seed) for arm in definition.arms for seed in range(SEEDS)}
    store = record(root, definition, runs, np.asarray(steps), status)
    rows = store.catalog.metrics(definition.name)
    store.catalog.save_metrics(definition.name, [dataclasses.replace(row, log=True) for row in rows])
    store.close()
    monkeypatch.setenv("DETOUR_STORE", str(root))


def opened(**parameters):
    app = AppTest.from_function(page, default_timeout=30)
    for name, value in parameters.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception
    return app


def table(app):
    return app.dataframe[-1].value.set_index(["Ordering", "Error of"])


def spec(app):
    return json.loads(app.get("vega_lite_chart")[0].proto.spec)


@pytest.fixture
def rates(tmp_path, monkeypatch):
    def lay(status=None, curves=ends):
        laid(tmp_path / "lab", monkeypatch, study("orderings-quadratic"), curves, [0, 8192], status)

    return lay


def test_the_slopes_that_were_built_in_are_told_with_interval_n_and_source(rates):
    rates()
    told = table(opened())
    assert len(told) == 14
    for name, power in POWERS.items():
        for line in ("last iterate", "tail average"):
            slope = told.loc[(name, line), "Slope in ln K"].replace("−", "-").split()[0]
            assert float(slope) == pytest.approx(power, abs=0.005)
    own = told.loc[("RR", "last iterate")]
    assert own["Slope in ln K"] == "−3.00 [−3.04, −2.96]"  # t at 5: 2.571 x 0.0374 / sqrt(6)
    assert (own["n"], own["Theory"], own["Source"]) == ("6", "−3, then −2", "Safran & Shamir 2020, 2021")
    # Of orderings without a rate that could be checked, and of averages, none is told.
    assert told.loc[("FlipFlop-RR", "last iterate"), "Theory"] == ""
    assert told.loc[("RR", "tail average"), "Theory"] == ""


def test_the_seeds_of_igm_are_one_number(rates):
    rates()
    app = opened()
    assert table(app).loc[("IGM", "last iterate"), "n"] == "1"
    assert "All seeds of IGM end at one error: n = 1" in words(app)


def test_a_run_that_diverged_is_counted_and_its_seed_is_in_no_slope(rates):
    rates({("RR K=16", 2): "diverged", ("RR K=32", 2): "running"})
    app = opened()
    assert "1 of 24 runs of RR diverged and are in no slope" in words(app)
    assert table(app).loc[("RR", "last iterate"), "n"] == "5"


def test_an_error_without_a_logarithm_is_counted(rates):
    def zero(arm, seed):
        bad = arm.name == "SS K=64" and seed == 1
        return {name: np.where(np.arange(2) * bad, 0.0, values) for name, values in ends(arm, seed).items()}

    rates(curves=zero)
    app = opened()
    assert "2 errors without a logarithm left out" in words(app)
    assert table(app).loc[("SS", "last iterate"), "n"] == "1"  # exact powers: one slope, whatever the seed


def test_theory_begins_at_the_first_point_and_falls_as_it_says():
    racing = [one for one in entrants(study("orderings-quadratic").config()) if one.label in ("SS", "RS2")]
    frame = pd.DataFrame(
        [
            {"label": one.label, "line": "last iterate", "x": k, "centre": 5.0 / k}
            for one in racing
            for k in (16.0, 128.0)
        ]
    )
    drawn = references(frame, racing, "excess_risk", {"SS": 64, "RS2": 64}, 0.0)
    assert set(drawn["label"]) == {"SS"}
    assert drawn["centre"].iloc[0] == pytest.approx(5 / 16)
    assert drawn["centre"].iloc[0] / drawn["centre"].iloc[-1] == pytest.approx(8.0**2)
    assert references(frame, racing, "full_batch_risk", {"SS": 64, "RS2": 64}, 0.0).empty


def test_one_training_an_ordering_races_over_epochs_in_the_colours_of_its_arms(tmp_path, monkeypatch):
    demo = study("digits-shuffling")
    laid(tmp_path / "lab", monkeypatch, demo, over_epochs, np.arange(41) * 50)
    app = opened()
    told = table(app)
    assert sorted({name for name, _ in told.index}) == sorted(arm.name for arm in demo.arms)
    assert told["Slope in ln(epoch)"].str.startswith("−0.9").all()  # 1 / (t + 1) over the last tenfold
    assert not {"Theory", "Rate of theory", "Source"} & set(told.columns)
    colours = {
        tuple(layer["encoding"]["color"]["scale"]["domain"])
        for layer in spec(app)["layer"]
        if "color" in layer["encoding"]
    }
    assert colours == {tuple(arm.name for arm in demo.arms)}


def test_a_link_names_the_error(tmp_path, monkeypatch):
    def two(arm, seed):
        found = over_epochs(arm, seed)
        return found | {"own_batch_risk": found["full_batch_risk"] ** 2}

    laid(tmp_path / "lab", monkeypatch, study("digits-shuffling"), two, np.arange(41) * 50)
    assert opened().selectbox(key="shuffling.race_metric").value == "full_batch_risk"
    app = opened(**{"shuffling.race_metric": "own_batch_risk"})
    assert app.selectbox(key="shuffling.race_metric").value == "own_batch_risk"
    assert table(app)["Slope in ln(epoch)"].str.startswith("−1.8").all()  # twice the power


def test_a_study_of_one_ordering_says_which_studies_race(tmp_path, monkeypatch):
    alone = study("sparse-parity")
    laid(tmp_path / "lab", monkeypatch, alone, over_epochs, np.arange(41) * 50)
    app = opened()
    assert "`orderings-quadratic`" in words(app)
    assert app.code[0].value == "python -m engine train orderings-quadratic"


def test_before_any_training_has_ended_there_is_nothing_to_show(rates):
    names = [arm.name for arm in study("orderings-quadratic").arms]
    rates({(name, seed): "running" for name in names for seed in range(SEEDS)})
    assert "No training has a positive excess_risk to show yet" in words(opened())
