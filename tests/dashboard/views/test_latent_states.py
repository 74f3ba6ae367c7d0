import json

import numpy as np
import pytest

from dashboard import fit_files, trust
from dashboard.access import alone
from dashboard.fit_form import _climbs
from dashboard.fits import load
from dashboard.lab import Lab
from data.analyses import save
from data.errors import LabError
from data.store import open_store
from engine.analysis.latent import from_record, model_record, to_json
from engine.analysis.latent.search import Search
from engine.jobs import queue
from engine.studies import study
from tests.dashboard.conftest import words

FIT = "#1 · 3 states · 3 metrics · SS, RR · pooled"


def stored(root):
    store = open_store(root)
    (row,) = store.catalog.analyses("digits-shuffling", "latent")
    return store, load(store, row)


def spec(app, place):
    return json.loads(app.get("vega_lite_chart")[place].proto.spec)


def button(app, key):
    return next(each for each in app.button if each.key == key)


def test_without_a_fit_the_form_starts_one_as_a_job(lab, view, monkeypatch):
    lab("running")
    sent = []
    monkeypatch.setattr(queue, "submit", lambda store, kind, study, spec: sent.append((kind, spec)) or 1)
    app = view("latent_states")
    assert not app.exception
    assert "No latent states have been fitted yet" in words(app)
    app.slider(key="latent.fit.states").set_range(2, 4)
    app.multiselect(key="latent.fit.arms").set_value(["SS", "RR"])
    app.selectbox(key="latent.fit.covariance").set_value("tied")
    app.selectbox(key="latent.fit.topology").set_value("left-to-right")
    app.number_input(key="latent.fit.every").set_value(3)
    app.number_input(key="latent.fit.refits").set_value(0)
    button(app, "latent.fit.start").click().run()
    assert not app.exception
    ((kind, told),) = sent
    assert kind == "fit"
    assert tuple(told["states"]) == (2, 3, 4)
    assert tuple(told["arms"]) == ("SS", "RR")
    assert (told["covariance"], told["topology"], told["every"], told["refits"]) == (
        "tied", "left-to-right", 3, 0,
    )  # fmt: skip


def test_the_form_says_how_long_a_fit_takes(lab, view):
    lab("running")
    app = view("latent_states")
    assert "266 climbs, about" in words(app)  # 7 (10 + 5 x 4) + 1 + 5, and 50 refits
    app.number_input(key="latent.fit.refits").set_value(0).run()
    assert "216 climbs, about" in words(app)


@pytest.mark.parametrize(("restarts", "states"), [(10, range(1, 9)), (2, [3, 5]), (1, [1])])
def test_the_climbs_foretold_are_those_of_the_search(restarts, states):
    search = Search([np.zeros((9, 1))] * 7, tuple((fold,) for fold in range(5)), "diag", "ergodic", 0)
    assert sum(_climbs({"restarts": restarts, "states": states}).values()) == len(
        search.tasks(list(states), restarts)
    )


def test_a_fit_is_shown_whole_with_its_doubts(lab, view):
    lab("full")
    app = view("latent_states")
    assert not app.exception
    assert not app.error
    text = words(app)
    for part in (
        "How many states",
        "How far to believe it",
        "Moves between states",
        "What each state is like",
        "How long",
        "What drives State",
    ):
        assert part in text
    assert "Within states neighbouring rows still correlate." in text
    assert "Gradient norm (constant)" in text
    assert "BIC, beside it, is least at 5 states" in text
    told = "\n".join(str(table.value) for table in app.table)
    for part in ("97%, 61%", "10.0%", "Held-out likelihood", "EM converged"):
        assert part in told
    # choice of K, two arms, moves, when, what drives, fingerprints, dwell times
    assert len(app.get("vega_lite_chart")) == 8


def test_thinning_is_offered_where_it_leaves_enough_rows_and_fills_in_the_form(lab, view, monkeypatch):
    lab("full")
    monkeypatch.setattr(trust, "advised_thinning", lambda typical, rows: 5)
    monkeypatch.setattr(trust, "AUTOCORRELATED", 0.1)
    app = view("latent_states")
    assert not app.exception
    button(app, "latent.thin").click().run()
    assert not app.exception
    assert app.number_input(key="latent.fit.every").value == 5
    assert app.multiselect(key="latent.fit.arms").value == ["SS", "RR"]
    assert app.multiselect(key="latent.fit.metrics").value == [
        "own_batch_risk",
        "full_batch_risk",
        "l2",
        "gradient_norm",
    ]
    monkeypatch.setattr(trust, "advised_thinning", lambda typical, rows: None)
    assert "thinning cannot mend it" in words(view("latent_states"))


def test_seeds_are_sorted_by_convergence_and_marked(lab, view):
    lab("full")
    plain = view("latent_states", arms="SS")
    by_seed = spec(plain, 1)
    app = view("latent_states", **{"arms": "SS", "latent.order": "Time of convergence"})
    assert not app.exception
    assert not app.error
    assert "Earliest on top; the triangle is where" in words(app)
    assert json.dumps(by_seed) != json.dumps(spec(app, 1))
    assert "triangle-down" in json.dumps(spec(app, 1))
    assert "triangle-down" not in json.dumps(by_seed)


def test_a_transition_is_picked_by_link_and_leads_to_its_traces(lab, view):
    store, fit = stored(lab("full"))
    assert fit.changes()[:2] == [(None, 1), (None, 2)]
    for run, (_, _, steps, path, _) in zip(fit.summary["runs"], fit.paths(), strict=True):
        entered = [int(steps[t]) for t in range(1, len(path)) if path[t] == 2 and path[t - 1] != 2]
        assert fit.moments(None, 2).get(run["run"]) == (entered[0] if entered else None)
    store.close()
    app = view("latent_states", **{"latent.move": "State 1 to State 2"})
    assert not app.exception
    assert app.selectbox(key="latent.move").value == "State 1 to State 2"
    assert "What drives State 1 to State 2" in words(app)
    (page,) = [link.proto for link in app.get("page_link") if "aligned" in link.proto.label]
    assert "traces.align=Change+of+latent+state" in page.query_string
    assert "traces.move=State+1+to+State+2" in page.query_string


def test_arms_outside_the_fit_are_said(lab, view):
    lab("full")
    app = view("latent_states", arms="SS no BN")
    assert not app.exception
    assert "not in this analysis" in words(app)


def test_a_downloaded_fit_opens_and_anything_else_is_refused_in_words(lab, view):
    root = lab("full")
    store, fit = stored(root)
    access = Lab(store, alone())
    text = to_json(fit.summary, fit.arrays).encode()
    for content, what in (
        (b"cos\nsystem\n", "is not a fit"),
        (text[:900], "is not a fit"),
        (b"{}", "Detour"),
    ):
        with pytest.raises(LabError, match=what):
            fit_files.take(access, "digits-shuffling", content, "states.json")
    fit_files.take(access, "digits-shuffling", text, "states.json")
    assert len(store.catalog.analyses("digits-shuffling", "latent")) == 2
    store.close()
    app = view("latent_states")
    assert not app.exception
    assert app.selectbox(key="latent.analysis").value.endswith("from states.json")
    assert "read from states.json" in words(app)
    assert "Imported: the states are of this study's runs" in words(app)
    step = 28 * study("digits-shuffling").evaluate_every  # the first of the last two points of 30
    assert f"RR: 1 run cut where a metric diverged (seed 7 at step {step:,})" in words(app)


def test_a_model_without_a_search_is_shown_as_far_as_it_goes(lab, view):
    store, fit = stored(lab("full"))
    told, arrays = model_record(from_record(fit.summary, fit.arrays))
    fit_files.take(Lab(store, alone()), "digits-shuffling", to_json(told, arrays).encode(), "model.json")
    store.close()
    app = view("latent_states", arms="SS")
    assert not app.exception
    assert not app.error
    assert "without a search to choose it by" in words(app)
    assert "What drives State" in words(app)


def test_the_fingerprint_of_a_single_layer_is_picked_by_link(lab, view):
    store, fit = stored(lab("full"))
    names = ["own_batch_risk", "head/full_batch_risk", "head/l2"]
    save(store, "digits-shuffling", "latent", {}, {**fit.summary, "metrics": names}, fit.arrays)
    store.close()

    def metrics(app):
        drawn = spec(app, -2)["layer"][0]["encoding"]["y"]
        return drawn["field"], drawn["sort"]

    app = view("latent_states", arms="SS")
    assert not app.exception
    assert metrics(app) == ("metric", ["Own-batch risk", "head/full_batch_risk", "head/l2"])
    one = view("latent_states", **{"arms": "SS", "latent.layer": "head"})
    assert not one.exception
    assert metrics(one) == ("metric", ["head/full_batch_risk", "head/l2"])


def test_metrics_are_ranked_by_what_moves_the_new_state_and_by_the_means_where_nothing_does(lab):
    _, fit = stored(lab("full"))
    told = fit.summary["transitions"][0]
    pair = told["source"], told["target"]
    told |= {"strength": [0.1, 0.3, 0.2], "difference": [3.0, 1.0, -2.0]}
    names = fit.summary["metrics"]
    assert fit.attribution(*pair)["metric"].to_list() == [names[1], names[2], names[0]]
    told |= {"strength": [1e-14, 3e-14, 0.0]}
    assert fit.attribution(*pair)["metric"].to_list() == [names[0], names[2], names[1]]
