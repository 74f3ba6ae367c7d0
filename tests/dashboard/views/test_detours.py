import json

import numpy as np
import pytest

from data.store import open_store
from engine.analysis.detours import Detour
from tests.dashboard import detours_fixture as planted
from tests.dashboard.conftest import words

THRESHOLD, METRIC = "detours.test_accuracy.threshold", "detours.metric"


@pytest.fixture(scope="module")
def made_planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    planted.build(root / "two").close()
    planted.build(root / "refitted", refits=8).close()
    planted.build(root / "one", seeds=4, arms=("plain",)).close()
    return root


@pytest.fixture
def lab_of(made_planted, monkeypatch):
    """Point the app at a planted store, which the tests only read."""

    def use(name):
        monkeypatch.setenv("DETOUR_STORE", str(made_planted / name))

    return use


def rows_of(app, column):
    """The rows of the table that has a column, by state; the tables of provenance have none of these."""
    frame = next(table.value for table in app.table if column in table.value.columns)
    return {int(row["State"].strip("*")): row for _, row in frame.iterrows()}


def test_the_planted_detour_is_named_and_every_decoy_says_why_it_is_none(lab_of, view):
    lab_of("two")
    app = view("detours")
    assert not app.exception
    assert not app.error
    text = words(app)
    assert "1 detour" in text
    assert "**State 1** is a detour" in text
    assert "23 of 24 runs converge (test accuracy ≥ 0.9 for 3 points in a row)" in text
    assert "Censored: 1 run that never did" in text
    rows = rows_of(app, "Verdict")
    said = {state: row["Verdict"].split("[")[1].rstrip("]") for state, row in rows.items()}
    assert said == {
        planted.DETOUR: "detour",
        planted.DECOY: "no delay",
        planted.START: "obligatory",
        planted.CLIMB: "obligatory",
        planted.FINAL: "after convergence",
        planted.NEVER: "not visited",
    }
    assert next(iter(rows)) == planted.DETOUR  # ranked first
    assert rows[planted.DETOUR]["Visited by"] == "12 of 24"
    delay = float(rows[planted.DETOUR]["Delay, 95 % interval [steps]"].split()[0])
    assert abs(delay - planted.DELAY * planted.EVERY) < 60
    assert len(app.get("vega_lite_chart")) == 8


def test_stability_without_refits_is_said_to_be_of_resampled_runs(lab_of, view):
    lab_of("two")
    assert "fit again with refits" in words(view("detours"))


def test_stability_is_the_share_of_refits_that_find_the_detour_again(lab_of, view):
    lab_of("refitted")
    app = view("detours")
    assert not app.exception
    text = words(app)
    assert "share of 8 refits" in text
    assert "again in 75% of refits" in text
    assert rows_of(app, "Verdict")[planted.DETOUR]["Stability"] == "75%"


def test_a_threshold_that_nobody_reaches_shows_how_far_runs_came(lab_of, view):
    lab_of("two")
    app = view("detours", **{THRESHOLD: "0.999"})
    assert not app.exception
    text = words(app)
    assert "None of 24 runs reaches test accuracy ≥ 0.999" in text
    assert "lower the threshold" in text
    assert "Half of the runs reach 0.9" in text
    assert "How long a state lasts" in text  # the rest of the page stays


def test_a_loss_begins_with_a_threshold_of_its_own(lab_of, view):
    lab_of("two")
    app = view("detours", **{METRIC: "Full-batch risk"})
    assert not app.exception
    threshold = app.number_input(key="detours.full_batch_risk.threshold").value
    # Midway between exp(0) and exp(-4 / 2 - 2) on the log axis of the risk.
    assert threshold == pytest.approx(np.exp(-2), rel=0.1)
    assert app.segmented_control(key="detours.full_batch_risk.direction").value == "below"
    assert "24 of 24 runs converge" in words(app) or "23 of 24 runs converge" in words(app)


def test_a_link_chooses_state_path_and_run(lab_of, view):
    lab_of("two")
    app = view(
        "detours",
        **{"detours.state": "State 2", "detours.path": "0 → 1 → 3", "detours.run": "plain · seed 2"},
    )
    assert not app.exception
    text = words(app)
    assert "8 visitors, 16 others" in text
    assert "**plain · seed 2**, converged at step" in text
    offered = app.selectbox(key="detours.run").options
    assert len(offered) == 7
    assert all(int(name.split()[-1]) % 2 == 0 for name in offered)  # only even seeds take the detour
    assert len(app.get("vega_lite_chart")) == 9  # one more: the run's own ribbon
    steps = [_converged(name) for name in offered]
    assert steps == sorted(steps)


def _converged(name):
    _, at = planted.walk("plain", int(name.split()[-1]))
    return at


@pytest.mark.parametrize(
    ("chart", "field", "clicked", "widget"),
    [
        ("detours.routes.0", "route", "0 → 1 → 3", "detours.path"),
        ("detours.runs.0", "run", "plain · seed 4", "detours.run"),
    ],
)
def test_a_click_in_a_chart_becomes_the_choice_in_the_list(monkeypatch, chart, field, clicked, widget):
    from dashboard import paths_explorer

    state = {chart: {"selection": {"pick": [{field: clicked}]}}}
    monkeypatch.setattr(paths_explorer.st, "session_state", state)
    paths_explorer._chosen(chart, field, widget)
    assert state[widget] == clicked
    state[chart]["selection"]["pick"] = []
    paths_explorer._chosen(chart, field, widget)
    assert state[widget] == clicked  # a click beside the marks changes nothing


def test_an_intervention_says_which_state_is_gone(lab_of, view):
    lab_of("two")
    app = view("detours")
    rows = rows_of(app, "Reading")
    gone = rows[planted.DETOUR]
    assert gone["plain"].startswith("12 of 24")
    assert gone["layer norm"].startswith("0 of 24")
    assert "gone in layer norm" in gone["Reading"]
    assert rows[planted.START]["Reading"] == "no difference shown"
    assert rows[planted.NEVER]["Reading"] == "in neither"
    assert gone["A − B, 95 % interval"].startswith("+50%")
    text = words(app)
    assert "paired by seed" in text
    assert "Converged: plain 23 of 24, layer norm 24 of 24" in text


def test_all_arms_together_are_offered_and_counted(lab_of, view):
    lab_of("two")
    app = view("detours", **{"detours.arm": "all arms together"})
    assert not app.exception
    assert "47 of 48 runs converge" in words(app)


def test_with_few_runs_no_state_is_optional_and_one_arm_has_nothing_to_compare(lab_of, view):
    lab_of("one")
    app = view("detours")
    assert not app.exception
    text = words(app)
    assert "No state is optional" in text
    assert "The study has one arm, plain" in text


def test_without_a_fit_the_page_says_what_a_detour_is_and_how_to_fit(lab, view):
    lab("running")
    app = view("detours")
    assert not app.exception
    assert "A **detour** is a latent state" in words(app)
    assert app.code[0].value == "python -m engine fit digits-shuffling"


def test_runs_that_are_gone_are_left_out_and_said(lab, view, made_planted, tmp_path, monkeypatch):
    root = tmp_path / "gone"
    planted.build(root).close()
    store = open_store(root)
    store.catalog.delete_runs([run.id for run in store.catalog.runs() if run.arm == "plain" and run.seed < 4])
    store.close()
    monkeypatch.setenv("DETOUR_STORE", str(root))
    app = view("detours")
    assert not app.exception
    assert "20 runs of plain · 4 runs left out" in words(app)
    assert "its states are of the data as they were" in words(app)


def verdict(**changes):
    nothing = dict.fromkeys(
        ("delay", "low", "high", "joint_delay", "joint_low", "joint_high", "p", "p_adjusted", "p_bh"), np.nan
    )
    whole = {
        "state": 1,
        "visited_by": 5,
        "others": 5,
        "visitors": (),
        "stability": np.nan,
        "is_detour": False,
    }
    return Detour(**{**whole, **nothing, "why": "", **changes})


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"is_detour": True, "p": 0.01}, "detour"),
        ({"p": 0.5, "delay": -3.0, "p_adjusted": 0.9}, "no delay"),
        ({"p": 0.1, "delay": 3.0, "p_adjusted": 0.2}, "chance or time at risk"),
        ({"p": 0.01, "delay": 3.0, "p_adjusted": 0.02}, "not clear jointly"),
        ({"visited_by": 10, "others": 0}, "obligatory"),
        ({"visited_by": 9, "others": 1}, "hardly avoidable"),
        ({"visited_by": 0, "others": 10}, "not visited"),
    ],
)
def test_reasons_in_a_word(changes, word):
    from dashboard.slow_states import reason

    assert reason(verdict(**changes), []) == word


def test_every_figure_has_its_words_and_all_its_rows(lab_of, view):
    lab_of("two")
    app = view("detours", **{"detours.run": "plain · seed 2"})
    charts = app.get("vega_lite_chart")
    assert len(charts) == 9
    for chart in charts:
        assert chart.proto.alt
        spec = json.loads(chart.proto.spec)
        held = {dataset.name for dataset in chart.proto.datasets} | set(spec.get("datasets", {}))
        named = set(_names(spec))
        assert named
        assert named <= held


def _names(spec):
    """The data that the layers of a figure name, however deep they are."""
    if "name" in spec.get("data", {}):
        yield spec["data"]["name"]
    for layer in spec.get("layer", []):
        yield from _names(layer)
