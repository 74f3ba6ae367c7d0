"""Orders of small data sets: what is asked, the job that tries them, and the result that is kept."""

import numpy as np
import pytest

from data.analyses import load
from data.errors import LabError
from data.store import Store
from engine.datasets import dataset
from engine.jobs.what_if_request import (
    KIND,
    read_orders,
    small_datasets,
    stored,
    what_if_request,
)
from engine.jobs.worker import Stop, work

X, Y, *_ = dataset("six-points").load()
SIX = "\n".join(",".join(map(repr, [*row, sign])) for row, sign in zip(X.tolist(), Y.tolist(), strict=True))


@pytest.fixture
def study(store: Store) -> Store:
    store.catalog.save_study("s", "S", "A claim.", {}, "engine")
    return store


def carried_out(store: Store, **asked: object):
    wanted = what_if_request("s", **asked)
    return wanted, work(store, store.catalog.create_job(KIND, "s", wanted.spec).id, Stop())


def test_the_six_points_are_tried_and_kept(study: Store) -> None:
    wanted, job = carried_out(study, text=SIX, batch_size=2)
    assert (job.status, job.step, job.steps) == ("done", 720, 720)
    assert "pasted data, 6 examples of 6 features, batches of 2" in job.message
    row = study.catalog.analysis(job.result["analysis"])
    assert row == stored(study, wanted)
    told, arrays = row.summary, load(study, row)
    assert told["counts"] == {"bounded": 48, "no divergence": 192, "GD risk diverges": 480}
    assert (told["selection"], told["low"], told["high"]) == ("all", told["share"], told["share"])
    assert (row.kind, row.data_version) == ("what_if", f"sha256:{told['sha256']}")
    np.testing.assert_array_equal(arrays["X"], X)
    np.testing.assert_array_equal(arrays["labels"], Y)
    assert arrays["slope"].shape == (15,)
    assert SIX not in str(row.inputs)


def test_the_same_data_however_written_are_tried_once(study: Store) -> None:
    _, first = carried_out(study, text=SIX)
    _, again = carried_out(study, text=SIX.replace("1.0\n", "1\n"), name="other.csv")
    assert again.result == {"analysis": first.result["analysis"], "tried": False}
    for change in ({"batch_size": 3}, {"eps": 1e-5}, {"intercept": True}, {"seed": 1}):
        _, other = carried_out(study, text=SIX, **change)
        assert other.result["tried"]
    assert len(study.catalog.analyses("s", KIND)) == 5


def test_given_orders_and_one_class_against_the_rest(study: Store) -> None:
    text = "x,y,kind\n1,2,a\n3,5,b\n4,4,c\n0,1,a"
    orders = read_orders("0 1 2 3\n\n3, 2, 1, 0\n", 4)
    _, job = carried_out(study, text=text, positive="a", orders=orders)
    row = study.catalog.analysis(job.result["analysis"])
    told = row.summary
    assert (told["selection"], told["orders"], job.steps) == ("given", 2, 1)
    assert told["classes"]["negative"] == {"names": ["b", "c"], "others": 0, "examples": 2}
    assert load(study, row)["given"].tolist() == [0, 0]


def test_a_stopped_job_keeps_nothing(study: Store) -> None:
    wanted = what_if_request("s", dataset="gaussian-teacher", batch_size=4)
    stop = Stop()
    stop.signal = 2
    job = work(study, study.catalog.create_job(KIND, "s", wanted.spec).id, stop)
    assert (job.status, job.step) == ("stopped", 0)
    assert not study.catalog.analyses("s", KIND)


def test_a_study_that_is_not_there_is_refused_before_anything_is_tried(store: Store) -> None:
    wanted = what_if_request("nowhere", text=SIX)
    job = store.catalog.create_job(KIND, "nowhere", wanted.spec)
    with pytest.raises(LabError, match="nowhere"):
        work(store, job.id, Stop())
    assert store.catalog.job(job.id).status == "failed"


def test_small_data_sets_are_found_with_their_signs() -> None:
    assert {"six-points", "toy-dataset", "gaussian-teacher"} <= set(small_datasets())
    assert not {"mnist-5k", "cifar", "npz", "evidence-accumulation"} & set(small_datasets())
    for name in small_datasets():
        wanted = what_if_request(dataset=name)
        assert wanted.name == name
        assert set(wanted.table.labels) == {-1.0, 1.0}


@pytest.mark.parametrize(
    ("asked", "selection", "batchings"),
    [
        ({"batch_size": 2}, "all", 15),
        ({"batch_size": 6}, "all", 1),
        ({"batch_size": 2, "all_up_to": 14}, "random", 15),
        ({"batch_size": 2, "orders": [[5, 4, 3, 2, 1, 0]]}, "given", 15),
    ],
)
def test_which_orders_are_looked_at_is_known_before(asked: dict, selection: str, batchings: int) -> None:
    wanted = what_if_request(text=SIX, **asked)
    assert (wanted.selection, wanted.batchings) == (selection, batchings)
    assert 2 < wanted.seconds < 4


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"batch_size": 0}, "`batch_size` must be 1 to 6, the number of examples"),
        ({"batch_size": 7}, "got 7"),
        ({"eps": -1.0}, "`eps` must be 0 to"),
        ({"eps": float("nan")}, "`eps` must be 0 to"),
        ({"eps": float("inf")}, "`eps` must be 0 to"),
        ({"draws": 0}, "`draws` must be 1 to 5,000"),
        ({"draws": 5001}, "got 5,001"),
        ({"all_up_to": -1}, "`all_up_to`"),
        ({"seed": -1}, "`seed`"),
        ({"orders": [[0, 1, 2]]}, "Order 1 has 3 indices for 6 examples"),
        ({"orders": [[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]}, "Order 2 counts from 1"),
        ({"orders": [[0, 1, 2, 3, 4, 4]]}, "holds 4 more than once"),
        ({"orders": [[0, 1, 2, 3, 4, 9]]}, "holds 9, and the last example is 5"),
        ({"text": ""}, "The text is empty"),
        ({"dataset": "digits"}, "`digits` is no small data set"),
        ({"dataset": "six-points", "positive": "1"}, "has its own labels"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: dict, told: str) -> None:
    with pytest.raises(LabError) as error:
        what_if_request(**({"text": SIX} | asked))
    assert told in error.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "There is no line"),
        ("0 1 x", "Line 1 of the orders holds `x`"),
        ("0 1 2\n0 1", "Line 2 of the orders has 2 indices for 3 examples"),
        ("0 -1 2", "holds `-1`"),
        ("0 1 2\n" * 33_334, "can be at most 33,333"),
    ],
)
def test_orders_that_cannot_be_read_are_refused_with_their_line(text: str, told: str) -> None:
    with pytest.raises(LabError) as error:
        read_orders(text, 3)
    assert told in error.value.message
