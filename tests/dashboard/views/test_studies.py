import pytest

from data.store import open_store
from engine.jobs import queue
from tests.dashboard.conftest import words


def test_a_place_without_a_store_offers_the_demo_study(lab, view):
    root = lab("nothing")
    app = view("studies")
    assert not app.exception
    assert [button.label for button in app.button] == ["Train the demo study"]
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
    app.button[0].click().run()
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
    assert len(app.get("vega_lite_chart")) == 1
    assert "1 of 8 runs of RR diverged and are left out" in text
    assert "Wu, Yun & Sra 2023" in text
    rows = app.table[0].value
    assert list(rows["Seeds"]) == ["7", "7", "8", "8"]
    assert rows["Comparison"][0] == "own-batch risk, SS / RR"
    assert rows["Effect"][0].startswith("0.07")
    assert set(rows["Part of the claim"]) == {"holds"}


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


def test_a_file_where_the_store_should_be_is_said_in_words(lab, view):
    lab("file").write_text("not a store")
    app = view("studies")
    assert not app.exception
    assert "The store is not a folder" in app.error[0].value
    assert "DETOUR_STORE" in app.error[0].value
