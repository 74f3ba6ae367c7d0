import itertools
import json

import numpy as np
import pytest

from engine.analysis.shuffling import dataset, separability, verdict, what_if
from engine.analysis.shuffling.what_if_record import KINDS, to_record
from engine.analysis.shuffling.what_if_words import meaning, proof, reshuffled
from engine.datasets import dataset as named

X, Y, *_ = named("six-points").load()


def test_every_batching_is_in_the_arrays_as_it_was_judged() -> None:
    found = what_if(X, Y, 2)
    told, arrays = to_record(found)
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["counts"] == {"bounded": 48, "no divergence": 192, "GD risk diverges": 480}
    assert told["batching_counts"] == {"bounded": 1, "no divergence": 4, "GD risk diverges": 10}
    assert (np.diff(arrays["slope"]) <= 0).all()
    full = dataset(X, Y, 2, "gd")
    for at in range(15):
        alone = verdict(separability(*dataset(X, Y, 2, arrays["batches"][at])), *full)
        assert KINDS[arrays["kind"][at]] == alone.kind
        assert arrays["slope"][at] == pytest.approx(alone.slope)
    assert told["worst"]["batches"] == [[0, 3], [1, 4], [2, 5]]
    assert told["worst"]["misclassified"] == [1, 5]


def test_given_orders_are_found_where_they_were_asked() -> None:
    orders = [[0, 3, 1, 4, 2, 5], [5, 4, 3, 2, 1, 0], [3, 0, 1, 4, 5, 2]]
    told, arrays = to_record(what_if(X, Y, 2, orders=orders), orders)
    assert arrays["given"][0] == arrays["given"][2] != arrays["given"][1]
    assert arrays["times"].tolist() == [2, 1]
    assert told["orders"] == 3


def test_more_orders_than_a_number_can_hold_are_counted_as_batchings() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 1))
    told, arrays = to_record(what_if(rows, np.sign(rows[:, 0]), 2000))
    assert (told["orders"], told["counts"], told["batchings"]) == (None, None, 1)
    assert (told["share"], arrays["times"].tolist()) == (0.0, [1])
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(("size", "labels"), list(itertools.product((1, 2, 3, 4, 6), (0, 1))))
def test_nothing_is_said_of_numbers_that_are_none(size: int, labels: int) -> None:
    rows = np.column_stack([X, np.ones(6)])
    for intercept in (False, True):
        found = what_if(rows, Y if labels else np.ones(6), size, intercept=intercept)
        told, arrays = to_record(found)
        json.dumps(told, allow_nan=False)
        for one in (told["worst"], told["best"]):
            words = f"{meaning(one)} {proof(one, 7 + intercept)}"
            assert not {"nan", "inf", "None"} & set(words.replace(",", " ").split())
        assert not np.isnan(arrays["slope"]).any()


def test_words_follow_the_verdict() -> None:
    told, _ = to_record(what_if(X, Y, 2))
    assert "puts 2 examples (1, 5) of the full batch on the wrong side" in meaning(told["worst"])
    assert "grows by 0.548 nats per ln(step)" in meaning(told["worst"])
    assert "does not grow" in meaning(told["best"])
    assert reshuffled(told["reshuffled"], 2).startswith("Of all 15 subsets of 2: Nothing separates")
    assert "all 30 rows cancel" in proof(told["reshuffled"], 6)
    assert "there is no further batch" in proof(told["reshuffled"], 6)


def test_a_sample_of_reshuffles_batches_is_final_only_with_a_complete_certificate() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3))
    told, _ = to_record(what_if(rows, np.sign(rows[:, 0]), 5, draws=3))
    assert told["reshuffled"]["sampled"]
    assert told["reshuffled"]["certificate"]["complete"]
    assert "no further batch can make anything separable" in proof(told["reshuffled"], 3)
    assert "More subsets" not in reshuffled(told["reshuffled"], 5)
    apart = np.where(rows[:, 0] > 0, 1, -1)
    told, _ = to_record(what_if(apart[:, None].astype(float), apart, 20, draws=1))
    assert told["reshuffled"]["kind"] != "bounded"
    assert "More subsets may change that." in reshuffled(told["reshuffled"], 20)
