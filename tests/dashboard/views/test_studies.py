import dataclasses
import json

import numpy as np
import pyarrow as pa
import pytest
import streamlit as st

from data.store import open_store
from engine.jobs import queue, verdicts
from engine.studies import studies, study
from tests.dashboard.conftest import words
from tests.engine.studies.synthetic import record

JOBS = ("Cancel", "Resume", "Stop", "Try again")
"""What the page offers to do with a job."""


def test_a_place_without_a_store_offers_the_demo_study(lab, view):
    root = lab("nothing")
    app = view("studies")
    assert not app.exception
    assert [button.label for button in app.button] == ["Train the demo study", "Upload logs"]
    assert any("python -m engine train digits-shuffling" in code.value for code in app.code)
    assert not root.exists()


@pytest.mark.parametrize("where", ["nothing", "empty"])
def test_the_button_makes_the_store_and_queues_the_training(lab, view, monkeypatch, where):
    root = lab(where)
    sent = []
    monkeypatch.setattr(
        queue, "submit", lambda store, kind, study, spec: sent.append((kind, study, spec)) or 1
    )
    app = view("studies")
    next(button for button in app.button if button.label == "Train the demo study").click().run()
    assert not app.exception
    ((kind, study, spec),) = sent
    assert (kind, study, len(spec["seeds"])) == ("train", "digits-shuffling", 16)
    store = open_store(root)
    assert [row.name for row in store.catalog.studies()] == ["digits-shuffling"]
    store.close()


def test_a_finished_study_has_its_claim_its_picture_and_its_verdict(lab, view):
    lab("full")
    app = view("studies")
    assert not app.exception
    text = words(app)
    assert "Shuffling handwritten digits" in text
    assert "lower risk on its own batches" in text
    assert "31 done" in text
    assert "1 diverged" in text
    assert "4 arms × 8 seeds" in text
    assert "Claim supported" in text
    (drawn,) = (element.proto for element in app.get("vega_lite_chart"))
    (rows,) = drawn.datasets
    spec = json.loads(drawn.spec)
    assert spec["data"]["name"] == rows.name
    assert all("data" not in layer for layer in spec["layer"])
    frame = pa.ipc.open_stream(rows.data.data).read_pandas()
    assert set(frame["arm"]) == {"SS", "RR", "SS no BN", "RR no BN"}
    assert np.isfinite(frame[["x", "median"]]).all(axis=None)
    assert "1 of 8 runs of RR diverged and are left out" in text
    assert "Wu, Yun & Sra 2023" in text
    rows = app.table[0].value
    assert list(rows["Seeds"]) == ["7", "7", "8", "8"]
    assert rows["Comparison"][0] == "own-batch risk, SS / RR"
    assert rows["Effect"][0].startswith("0.07")
    assert set(rows["Part of the claim"]) == {"holds"}


def test_any_study_is_judged_by_its_own_verdict_once_its_runs_came_to_their_end(lab, view):
    definition = dataclasses.replace(study("rs2-digits"), expected_seconds=64.0)
    root, end = lab("nothing"), np.ones(20)
    curves = {
        (arm.name, seed): {"test_accuracy": end * (0.97 + 0.001 * seed - 0.03 * (place == 1))}
        for place, arm in enumerate(definition.arms)
        for seed in range(8)
    }
    status = dict.fromkeys(curves, "running")
    store = record(root, definition, curves, np.arange(20) * 62, status)
    app = view("studies")
    assert not app.exception
    assert "No verdict yet" in words(app)
    assert "about 1 min 4 s on 2 cores" in words(app)
    store.catalog.update_runs(
        [{"id": run.id, "status": "done"} for run in store.catalog.runs(definition.name)]
    )
    store.close()
    app = view("studies")
    text = words(app)
    assert "Claim not supported" in text
    assert "RS2 10 %, same rounds - full data: -0.03" in text
    assert "Okanovic et al. 2023" in text
    assert list(app.table[0].value["Part of the claim"]) == ["does not hold", "holds"]


def test_variants_of_a_study_are_told_apart_by_what_was_changed(lab, view):
    root = lab("nothing")
    for settings in ({}, {"lr": "0.5", "epochs": "2"}):
        changed = study("dormant-redo").override(settings)
        record(root, changed, {("plain", 0): {"test_accuracy": np.ones(3)}}, np.arange(3)).close()
    app = view("studies")
    assert not app.exception
    title = study("dormant-redo").title
    assert {head.value for head in app.subheader} == {title, f"{title} with `epochs=2, lr=0.5`"}


def test_what_can_be_trained_is_listed_with_its_size_time_and_command(lab, view):
    lab("full")
    app = view("studies")
    assert not app.exception
    (listed,) = app.expander
    assert listed.label == "Studies you can train"
    assert [code.value for code in listed.code] == [f"python -m engine train {name}" for name in studies()]
    told = [one.value for one in listed.markdown]
    for text, definition in zip(told, studies().values(), strict=True):
        assert f"**{definition.title}**" in text
        assert definition.claim in text
        assert f"{definition.steps:,} steps each" in text
        assert definition.source in text
        assert ("in this store" in text) == (definition.name == "digits-shuffling")
        if definition.name != "digits-shuffling":  # of which the store knows how long it took
            assert ("on 2 cores" in text) == (definition.expected_seconds is not None)


def test_a_verdict_that_cannot_be_had_leaves_the_other_cards(lab, view, monkeypatch):
    root, curves = lab("nothing"), {("plain", 0): {"test_accuracy": np.ones(3)}}
    for settings in ({}, {"dataset": "npz", "dataset.path": str(root / "gone.npz")}):
        changed = study("mlp-modes").override(settings)
        runs = {(arm.name, seed): {"test_loss": np.ones(3)} for arm in changed.arms for seed in range(2)}
        record(root, changed, runs, np.arange(3)).close()
    record(root, study("dormant-redo"), curves, np.arange(3)).close()
    app = view("studies")
    assert not app.exception
    assert not app.error
    assert len(app.subheader) == 3
    assert any("gone.npz" in one.value for one in app.warning)
    assert "No verdict yet" in words(app)


def test_a_verdict_is_computed_once(lab, view, monkeypatch):
    root = lab("full")
    view("studies")
    store = open_store(root)
    assert len(store.catalog.analyses("digits-shuffling", "verdict")) == 1
    store.close()
    st.cache_data.clear()
    monkeypatch.setattr(verdicts, "verdict", lambda name: lambda store: pytest.fail("computed again"))
    app = view("studies")
    assert not app.exception
    assert "Claim supported" in words(app)


def test_a_running_job_shows_progress_throughput_time_left_and_stops_on_request(lab, view):
    root = lab("running")
    app = view("studies")
    assert not app.exception
    assert "steps a second" in app.progress[0].text
    assert "left" in app.progress[0].text
    stop = next(button for button in app.button if button.label == "Stop")
    stop.click().run()
    assert not app.exception
    store = open_store(root)
    assert store.catalog.jobs()[0].stop_requested
    store.close()


def stopped(root, **error):
    """Leave the job of the store in training as a stop or a kill leaves it."""
    store = open_store(root)
    (job,) = store.catalog.jobs()
    store.catalog.finish_job(job.id, "stopped", runs="stopped", **error)
    store.close()
    return job.id


def test_a_stopped_training_is_resumed_where_it_was_stopped(lab, view, monkeypatch):
    root = lab("running")
    job = stopped(
        root, error={"title": "The job's process is gone", "message": "It was killed.", "remedy": ""}
    )
    pumped = []
    monkeypatch.setattr(queue, "pump", lambda store: pumped.append(store))
    app = view("studies")
    assert not app.exception
    assert not app.get("progress")
    text = words(app)
    assert f"job {job} · stopped at 2,496 of 3,776 steps" in text
    assert "The job's process is gone. It was killed." in text
    (resume,) = (button for button in app.button if button.label == "Resume")
    assert resume.help
    resume.click().run()
    assert not app.exception
    assert pumped
    store = open_store(root)
    assert store.catalog.job(job).status == "queued"
    store.close()
    assert "Number 1 in the queue: a worker takes it" in app.progress[0].text
    assert [button.label for button in app.button if button.label in JOBS] == ["Cancel"]


def test_a_training_that_failed_before_it_had_runs_says_why_until_it_is_trained_again(lab, view):
    root = lab("full")
    store = open_store(root)
    job = store.catalog.create_job("train", "digits-shuffling", {"study": "digits-shuffling"}).id
    store.catalog.finish_job(
        job, "failed", error={"title": "File not found", "message": "There is no `mine.npz`.", "remedy": ""}
    )
    app = view("studies")
    assert not app.exception
    assert f"job {job} · failed" in words(app)
    assert "File not found. There is no `mine.npz`." in words(app)
    assert [button.label for button in app.button if button.label in JOBS] == ["Try again"]
    again = store.catalog.create_job("train", "digits-shuffling", {"study": "digits-shuffling"}).id
    store.catalog.finish_job(again, "done")
    store.close()
    assert "File not found" not in words(view("studies"))


def test_a_training_that_went_on_elsewhere_meanwhile_is_not_resumed_twice(lab, view):
    root = lab("running")
    job = stopped(root)
    app = view("studies")
    store = open_store(root)
    store.catalog.requeue_job(job)
    store.close()
    next(button for button in app.button if button.label == "Resume").click().run()
    assert not app.exception
    assert "The job has not ended" in app.error[0].value


def test_a_training_whose_runs_were_replaced_is_not_offered(lab, view):
    root = lab("running")
    stopped(root)
    store = open_store(root)
    again = store.catalog.create_job("train", "digits-shuffling", {}).id
    wanted = [(run.arm, run.seed, {}) for run in store.catalog.runs()]
    ids = store.catalog.start_runs(again, "digits-shuffling", wanted, 10, "cpu")
    store.catalog.finish_job(again, "done")
    store.catalog.update_runs([{"id": id, "status": "done"} for id in ids])
    store.close()
    app = view("studies")
    assert not app.exception
    assert "Resume" not in [button.label for button in app.button]


def test_a_file_where_the_store_should_be_is_said_in_words(lab, view):
    lab("file").write_text("not a store")
    app = view("studies")
    assert not app.exception
    assert "The store is not a folder" in app.error[0].value
    assert "DETOUR_STORE" in app.error[0].value
