import json
import re

import numpy as np
import pytest
from safetensors.numpy import save

from dashboard import connection_matrix, connections, network_picker
from dashboard.lab import Lab
from data.store import open_store
from engine.jobs import queue
from engine.jobs.connect_request import Node
from tests.dashboard.conftest import words
from tests.dashboard.connected_fixture import (
    FOUR,
    STUDY,
    add_matrix,
    add_merge,
    add_path,
    add_plane,
    add_pruning,
    keep_weights,
)
from tests.dashboard.lab_fixture import build

PARTS = ("Path", "Matrix", "Plane", "Merge", "Pruning")


def charts(app):
    return [json.loads(one.proto.spec) for one in app.get("vega_lite_chart")]


def opened(view, part, **parameters):
    app = view("connectivity", **{"connectivity.part": part}, **parameters)
    assert not app.exception
    assert not app.error
    assert not re.search(r"\bnan\b", words(app), re.IGNORECASE)
    return app


@pytest.fixture
def bare(lab):
    root = lab("bare")
    store = build(root, seeds=2, points=20)
    keep_weights(store)
    store.close()
    return root


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def submit(store, *told):
        calls.append(told)
        return store.catalog.jobs()[0].id

    monkeypatch.setattr(queue, "submit", submit)
    return calls


class TestParts:
    def test_a_path_is_put_into_words(self, lab, view):
        lab("full")
        app = opened(view, "Path")
        text = words(app)
        assert "naive: chord barrier 1.08, mean 1.08. Bezier curve: chord barrier 0.0180" in text
        assert (
            "Untrained networks reach **0.250** ± 0.0030 (n = 3 pairs): matching found more than chance"
            in text
        )
        assert "Not done, naive with RESET: `reset` needs batch normalization" in text
        assert "is pinned" in text
        assert "Undefined where both ends are 0 or never vary: Linearity gap" in text
        table = next(one.value for one in app.dataframe if "half-way accuracy" in one.value.columns)
        assert table["path"].tolist()[:2] == ["naive", "naive"]
        assert table["corrected"].tolist()[:2] == ["not corrected", "REPAIR"]
        # One chart of all paths, four panels of layers, and the ribbons of both seeds.
        assert len(charts(app)) == 6

    def test_the_matrix_has_a_slider_that_moves_it(self, lab, view):
        lab("full")

        def cells(step):
            app = opened(view, "Matrix", **{"connectivity.matrix.step": f"step {step:,}"})
            chart, medians = charts(app)
            rule = [layer["encoding"]["x"]["datum"] for layer in medians["layer"]
                    if "datum" in layer["encoding"].get("x", {})]  # fmt: skip
            frame = next(one.value for one in app.dataframe if "similarity" in one.value.columns)
            domain = chart["layer"][0]["encoding"]["color"]["scale"]["domain"]
            return frame, rule, domain, words(app)

        early, late = cells(640), cells(3776)
        assert (early[1], late[1]) == ([640], [3776])
        assert early[2] == late[2]
        assert (late[0]["value"] > early[0]["value"]).all()
        assert "n = 6 pairs within an arm, 6 pairs across arms, 3 pairs one seed, across arms" in early[3]
        assert early[0]["method"].value_counts().to_dict() == {"naive": 15, "weight matching": 15}

    def test_a_matrix_of_one_checkpoint_has_medians_instead_of_a_curve(self, lab, view):
        store = open_store(lab("full"))
        add_matrix(store, FOUR, steps=())
        store.close()
        app = opened(view, "Matrix")
        assert len(charts(app)) == 1
        assert len(app.metric) == 9
        assert "n = 2 pairs; an interval needs 5 networks" in words(app)

    def test_planes_stand_side_by_side_with_one_scale_of_colours(self, lab, view):
        lab("full")
        naive, matched = charts(opened(view, "Plane"))
        scales = [one["layer"][0]["encoding"]["color"]["scale"] for one in (naive, matched)]
        assert scales[0] == scales[1]
        assert scales[0]["domain"][0] < 0  # logarithms

    def test_a_merge_stands_beside_its_members_with_its_warning(self, lab, view):
        lab("full")
        app = opened(view, "Merge")
        assert {one.value for one in app.metric} == {"13.5%", "24.4 → 17.8"}
        assert "biased where they differ much" in words(app)
        assert len(charts(app)) == 2

    def test_pruning_says_where_a_correction_helps(self, lab, view):
        lab("full")
        app = opened(view, "Pruning")
        assert "REPAIR helps most where" in words(app)
        assert "Not done, RESET" in words(app)
        assert {one["encoding"]["color"]["scale"]["domain"][0] for one in charts(app)[0]["layer"][:1]} == {
            "SS"
        }

    def test_a_link_restores_the_part_the_connection_and_the_controls(self, lab, view):
        store = open_store(lab("full"))
        first = connections.label(connections.rows(Lab(store, None), STUDY, "path")[0])
        add_path(store, Node("RR", 0), Node("RR", 1))
        store.close()
        app = opened(view, "Path", **{"connectivity.path": first, "connectivity.path.quantity": "accuracy"})
        assert app.selectbox(key="connectivity.path").value == first
        assert charts(app)[0]["layer"][1]["encoding"]["y"]["title"] == "Accuracy"

    def test_values_have_no_accuracy(self, lab, view):
        store = open_store(lab("full"))
        add_path(store, Node("RR", 0), Node("RR", 1), task="values")
        store.close()
        app = opened(view, "Path")
        assert app.segmented_control(key="connectivity.path.quantity").options == ["loss"]
        assert not any("half-way accuracy" in one.value.columns for one in app.dataframe)


def test_an_overflow_is_said_and_never_drawn_as_a_gap(lab, view):
    store = open_store(lab("full"))
    add_path(store, Node("RR", 0), Node("RR", 1), overflows=True)
    add_matrix(store, steps=(), overflows=True, methods=("weights",))
    add_plane(store, overflows=True)
    add_merge(store, overflows=True)
    add_pruning(store, overflows=True)
    store.close()
    app = opened(view, "Path")
    assert "the loss overflows: naive at λ = 0.4" in words(app)
    table = next(one.value for one in app.dataframe if "half-way loss" in one.value.columns)
    assert table["chord"][0] == table["half-way loss"][0] == "overflows"
    assert "overflows between SS · seed 1 to SS · seed 0" in words(opened(view, "Matrix"))
    assert "1 of 81 places overflow" in words(opened(view, "Plane"))
    assert any("overflows" in one.value.get("text", []).tolist() for one in opened(view, "Merge").dataframe)
    pruned = next(one.value for one in opened(view, "Pruning").dataframe if "sparsity" in one.value.columns)
    assert (pruned["kind"] == "overflows").sum() == 1
    assert not pruned["value"].isna().any()


class TestForm:
    def test_without_any_connection_it_says_what_a_barrier_is(self, bare, view):
        for part in PARTS:
            text = words(opened(view, part))
            assert "yet" in text
            assert "barrier" in text
            assert f"python -m engine connect {STUDY}" in text

    def test_a_path_is_submitted_as_it_was_asked_for(self, bare, view, asked):
        app = opened(view, "Path")
        app.selectbox(key="connect.path.1.arm").set_value("RR").run()
        app.selectbox(key="connect.path.1.seed").set_value(0).run()
        app.selectbox(key="connect.path.1.step").set_value(640).run()
        app.number_input(key="connect.path.points").set_value(11).run()
        assert "--a SS:0 --b RR:0@640 --renormalize repair --points 11" in words(app)
        app.button(key="connect.path.start").click().run()
        ((kind, name, spec),) = asked
        assert (kind, name, spec["what"], spec["points"]) == ("connect", STUDY, "path", 11)
        assert [(node["arm"], node["seed"], node["step"]) for node in spec["nodes"]] == [
            ("SS", 0, None), ("RR", 0, 640),
        ]  # fmt: skip
        assert (tuple(spec["methods"]), tuple(spec["renormalize"])) == (("weights",), ("repair",))

    def test_a_matrix_takes_checkpoints(self, bare, view, asked):
        app = opened(view, "Matrix")
        app.multiselect(key="connect.matrix.steps").set_value([0, 640]).run()
        app.button(key="connect.matrix.start").click().run()
        ((_, _, spec),) = asked
        assert tuple(spec["steps"]) == (0, 640)
        assert len(spec["nodes"]) == 2

    def test_what_is_wrong_is_said_before_it_starts(self, bare, view):
        app = opened(view, "Path")
        app.selectbox(key="connect.path.1.seed").set_value(0).run()
        assert "A path is of 2 different networks; got 2, 1 different" in words(app)
        assert app.button(key="connect.path.start").disabled
        app.selectbox(key="connect.path.1.arm").set_value("SS no BN").run()
        assert "Different architectures" in words(app)
        assert app.button(key="connect.path.start").disabled
        app = opened(view, "Matrix")
        app.text_input(key="connect.matrix.seeds").set_value("zero").run()
        assert "Seeds must be numbers and ranges" in words(app)
        assert app.button(key="connect.matrix.start").disabled

    def test_a_stored_connection_is_shown_instead_of_made_again(self, lab, view, asked, monkeypatch):
        lab("full")
        monkeypatch.setattr("engine.jobs.connect_request.code_version", lambda: "test")
        app = opened(view, "Pruning", **{"connectivity.pruning.form": "true"})
        app.session_state["connectivity.pruning.form"] = True
        app.run()
        app.pills(key="connect.pruning.renormalize").set_value(["repair", "reset"]).run()
        app.button(key="connect.pruning.start").click().run()
        assert asked == []
        assert str(app.selectbox(key="connectivity.pruning").value).startswith("#")


class TestUploads:
    def test_a_network_is_named_by_its_content_and_kept_when_it_starts(self, bare):
        from data import networks

        content = save({"head.weight": np.ones((2, 3), dtype=np.float32)})
        digest = network_picker._checked(content, "net.safetensors")
        store = open_store(bare)
        network_picker.keep(Lab(store, None), [network_picker.Upload("net.safetensors", content)])
        assert networks.load(store, digest)["head.weight"].shape == (2, 3)
        store.close()

    def test_a_pickle_is_refused_with_its_remedy(self):
        from data.errors import LabError

        with pytest.raises(LabError, match="would run code"):
            network_picker._checked(b"\x80\x04K\x01.", "net.pt")


class TestClick:
    def click(self, root, view, nodes, monkeypatch):
        """Open the pair as a click on its cell does, and return the page after it."""
        store = open_store(root)
        kept = connections.kept_weights(store, store.catalog.runs(STUDY))
        row = connections.path_between(Lab(store, None), STUDY, *nodes, kept)
        store.close()
        state = {}
        monkeypatch.setattr(connection_matrix.st, "session_state", state)
        connection_matrix.open_pair(row, list(nodes))
        monkeypatch.undo()
        monkeypatch.setenv("DETOUR_STORE", str(root))
        return row, state

    def test_a_pair_with_a_path_leads_to_it_in_either_direction_and_by_its_step(self, lab, view, monkeypatch):
        root = lab("full")
        row, state = self.click(root, view, (Node("SS", 1), Node("SS", 0, 3776)), monkeypatch)
        assert row is not None
        assert state["connectivity.part"] == "Path"
        app = view("connectivity", state=state)
        assert app.selectbox(key="connectivity.path").value == connections.label(row)

    def test_a_pair_without_one_fills_in_the_form(self, lab, view, monkeypatch):
        root = lab("full")
        row, state = self.click(root, view, (Node("RR", 1, 640), Node("SS", 0, 640)), monkeypatch)
        assert row is None
        app = view("connectivity", state=state)
        assert not app.exception
        assert "the form below is filled in" in words(app)
        assert app.selectbox(key="connect.path.0.arm").value == "RR"
        assert app.selectbox(key="connect.path.0.seed").value == 1
        assert app.selectbox(key="connect.path.1.step").value == 640


def test_a_viewer_may_not_start_anything(bare, view, monkeypatch):
    from dashboard import lab as labs
    from dashboard.access import Access
    from data.people import Person

    monkeypatch.setattr(labs, "visitor", lambda store: Access(Person("guest", "viewer")))
    app = opened(view, "Path")
    assert app.button(key="connect.path.start").disabled


def test_an_uploaded_study_says_why_it_cannot_be_connected(lab, view):
    store = open_store(lab("empty"))
    store.catalog.save_study("logs", "Logs", "A claim.", {}, "upload")
    job = store.catalog.create_job("import_logs", "logs", {}).id
    store.catalog.start_runs(job, "logs", [("a", 0, {}), ("b", 0, {})], 1, "elsewhere")
    store.catalog.finish_job(job, "done")
    store.close()
    for part in PARTS[:2]:
        assert "how its networks are built is not known here" in words(opened(view, part))
