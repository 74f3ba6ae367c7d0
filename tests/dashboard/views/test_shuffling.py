import dataclasses
import json

from data.store import open_store
from tests.dashboard.conftest import words


def test_the_reversal_and_the_control_are_put_into_words(lab, view):
    lab("full")
    app = view("shuffling")
    assert not app.exception
    text = words(app)
    assert (
        "SS ends lower than RR on the risk of its own batches, but higher on the risk of the full batch"
        in text
    )
    assert "Control: SS no BN and RR no BN end within 10 % of each other" in text
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
