import dataclasses
import json
import re

from data.store import open_store
from engine.jobs import queue
from engine.studies import Arm, study
from tests.dashboard.conftest import words
from tests.dashboard.explained_fixture import add_explanation
from tests.dashboard.lab_fixture import build, write_study


def test_the_reversal_and_the_control_are_put_into_words(lab, view):
    lab("full")
    app = view("shuffling")
    assert not app.exception
    text = words(app)
    assert (
        "SS ends lower than RR on the risk of its own batches, but higher on the risk of the full batch"
        in text
    )
    assert "Control: :gray-badge[Not separated] SS no BN and RR no BN end within 10 % of each other" in text
    own, full = app.metric
    assert own.value.startswith("× 0.07")
    assert full.value.startswith("× 3.")
    assert "n = 7 pairs" in text
    assert "exact" in text


def test_no_reversal_is_claimed_where_the_numbers_show_none(lab, view):
    lab("full")
    app = view("shuffling", a="SS no BN", b="RR no BN", control="none")
    assert not app.exception
    assert "reversal" not in words(app).lower().replace("no reversal", "")
    assert "SS no BN and RR no BN end within 10 % of each other" in words(app)


def test_too_few_pairs_are_said_to_be_too_few(lab, view):
    lab("running")
    app = view("shuffling")
    assert not app.exception
    assert "4 pairs cannot reach p = 0.05" in words(app)
    assert "Sign reversal" not in words(app)


def test_risks_have_the_unit_of_the_study(lab, view):
    def titles():
        charts = [json.loads(chart.proto.spec) for chart in view("shuffling").get("vega_lite_chart")]
        return {chart["layer"][0]["encoding"]["y"]["title"] for chart in charts}

    root = lab("full")
    assert titles() == {"Own-batch risk [nats]", "Full-batch risk [nats]"}
    store = open_store(root)
    rows = store.catalog.metrics("digits-shuffling")
    store.catalog.save_metrics("digits-shuffling", [dataclasses.replace(row, unit="") for row in rows])
    store.close()
    assert titles() == {"Own-batch risk", "Full-batch risk"}


class TestWhy:
    def test_an_unexplained_study_says_what_an_explanation_is_and_starts_one(self, lab, view, monkeypatch):
        root = lab("bare")
        build(root, seeds=2, points=20).close()
        asked = []
        monkeypatch.setattr(queue, "submit", lambda store, *told: asked.append(told))
        app = view("shuffling", **{"shuffling.part": "Why"})
        assert not app.exception
        assert "These orders have not been explained yet" in words(app)
        assert "python -m engine explain digits-shuffling" in words(app)
        app.selectbox(key="shuffling.first").set_value("3").run()
        app.selectbox(key="shuffling.second").set_value("8")
        app.run()
        app.button(key="shuffling.explain").click().run()
        ((kind, name, spec),) = asked
        assert (kind, name, tuple(spec["classes"])) == ("explain", "digits-shuffling", (3, 8))

    def test_the_verdict_of_each_arm_stands_beside_its_control(self, lab, view):
        lab("full")
        app = view("shuffling", **{"shuffling.part": "Why"})
        assert not app.exception
        text = words(app)
        for arm in ("SS", "RR", "SS no BN", "RR no BN"):
            assert f"**{arm}**" in text
            assert f"**{arm}, own batches**" in text
            assert f"**{arm}, full batch**" in text
        assert "100 % of its own rows are separable for ever" in text
        assert "Nothing separates class 3 from class 8" in text
        assert "Of 8 seeds, 0 must diverge [0%, 32%]; 8 are certified bounded" in text
        assert "no order moves what the read-out sees" in text
        assert "Weights that are not finite are left out: seeds 7" in text
        assert not re.search(r"\bnan\b", text, re.IGNORECASE)
        assert len(app.dataframe) >= 1

    def test_the_slider_moves_every_picture(self, lab, view):
        lab("full")

        def pictures(step):
            app = view("shuffling", **{"shuffling.part": "Why", "shuffling.step": f"step {step:,}"})
            assert not app.exception
            charts = [json.loads(one.proto.spec) for one in app.get("vega_lite_chart")]
            places = [layer["encoding"]["x"] for chart in charts for layer in chart["layer"]]
            rules = [place["datum"] for place in places if "datum" in place]
            return rules, words(app)

        early, late = pictures(640), pictures(3776)
        # Both risks, three risks of the read-out and its alignment have a rule.
        assert early[0] == [640] * 6
        assert late[0] == [3776] * 6
        assert early[1] != late[1]

    def test_values_have_distances_instead_of_classes(self, lab, view):
        root = lab("full")
        store = open_store(root)
        number = add_explanation(store, "values")
        store.close()
        app = view("shuffling", **{"shuffling.part": "Why"})
        assert not app.exception
        assert f"#{number}" in str(app.selectbox(key="shuffling.explanation").value)
        assert r"Distance to M\*_SS(π)" in words(app)
        assert "own batches**" not in words(app)

    def test_arms_that_were_not_explained_are_named(self, lab, view):
        root = lab("full")
        store = open_store(root)
        add_explanation(store, "signs", ["SS no BN"])
        store.close()
        app = view("shuffling", control="none", **{"shuffling.part": "Why"})
        assert not app.exception
        assert "This explanation is of SS no BN" in words(app)


class TestDivergence:
    def test_each_arm_has_a_verdict_and_its_times(self, lab, view):
        lab("full")
        app = view("shuffling", **{"shuffling.part": "Divergence"})
        assert not app.exception
        text = words(app)
        assert "No divergence" in text
        assert "of 8 seeds diverge" in text
        assert "Log-rank" in text
        assert "A slope is predicted for two classes" in text

    def test_slopes_are_matched_seed_by_seed(self, lab, view):
        root = lab("full")
        store = open_store(root)
        add_explanation(store, "signs")
        store.close()
        app = view("shuffling", **{"shuffling.part": "Divergence"})
        assert not app.exception
        assert "median predicted" in words(app)
        chart = next(
            json.loads(one.proto.spec) for one in app.get("vega_lite_chart") if "Predicted" in one.proto.spec
        )
        assert "Measured slope" in json.dumps(chart)

    def test_before_any_run_has_ended_it_is_said(self, lab, view):
        lab("running")
        app = view("shuffling", **{"shuffling.part": "Divergence"})
        assert not app.exception
        assert "No run has come to its end" in words(app)


def test_arms_without_a_shared_seed_are_compared_as_groups(lab, view):
    root = lab("full")
    store = open_store(root)
    runs = store.catalog.runs("digits-shuffling")
    store.catalog.delete_runs(
        [run.id for run in runs if run.arm in ("SS", "RR") and (run.seed < 4) == (run.arm == "SS")]
    )
    store.close()
    app = view("shuffling")
    assert not app.exception
    assert "share no seed" in words(app)
    own, full = app.metric
    assert own.value.startswith("× 0.0")
    assert full.value.startswith("× 3.") or full.value.startswith("× 4.")
    assert "least p" in words(app)
    balanced = view("shuffling", **{"shuffling.balanced": "Frobenius norm", "shuffling.acceptance": "0.5"})
    assert not balanced.exception


def test_every_part_is_drawn_for_a_study_without_its_needs(lab, view):
    root = lab("empty")
    store = open_store(root)
    store.catalog.save_study("logs", "Logs", "A claim.", {}, "upload")
    job = store.catalog.create_job("import_logs", "logs", {}).id
    store.catalog.start_runs(job, "logs", [("a", 0, {}), ("b", 0, {})], 1, "elsewhere")
    store.catalog.finish_job(job, "done")
    store.close()
    for part in ("Effect", "Why", "Divergence", "Orderings", "What if"):
        app = view("shuffling", **{"shuffling.part": part})
        assert not app.exception, part
        if part in ("Effect", "Why", "Divergence"):
            assert "needs own-batch and full-batch risk" in words(app)


def test_without_a_planned_comparison_the_two_orders_that_differ_in_nothing_else_are_chosen(lab, view):
    root = lab("empty")
    store = open_store(root)
    demo, orders = study("digits-shuffling"), ("WR", "SS", "RR", "IGM")
    # Named as the fixture's arms, so that it has levels for them.
    arms = [Arm(one.name, order) for one, order in zip(demo.arms, orders, strict=True)]
    write_study(store, dataclasses.replace(demo, arms=tuple(arms), comparisons=()), 1, 5, False, "done")
    store.close()
    app = view("shuffling")
    assert not app.exception
    assert (app.selectbox(key="a").value, app.selectbox(key="b").value) == ("RR", "SS no BN")
