import json

import numpy as np
import pytest

from engine.analysis.latent import decode, fit, from_record, to_record

NAMES = ["a", "b", "c", "d", "e", "flat"]


@pytest.fixture(scope="module", params=["per-run", "log-pooled"])
def stored(request, chains):
    runs = [np.column_stack([np.exp(run / 5), np.full(len(run), 3.0)]) for run in chains(2, n_runs=8).runs]
    runs[2][70:, 1] = np.nan
    runs[5][1, 1] = np.inf
    runs[0][3, 0] = 0.0  # one metric cannot be logged
    selection = fit(runs, NAMES, n_states=[1, 2], restarts=3, normalize=request.param, seed=4)
    labels = [{"run": 10 + i, "arm": "SS" if i % 2 else "RR", "seed": i // 2} for i in range(8)]
    steps = [np.arange(len(run)) * 32 for run in runs]
    summary, arrays = to_record(selection, labels, steps, restarts=3, seed=4)
    return runs, selection, labels, steps, summary, arrays


def test_summary_is_json_and_says_how_it_was_made(stored) -> None:
    _, selection, _, _, summary, _ = stored
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["metrics"] == ["a", "b", "c", "d", "e"]
    assert summary["dropped"][0]["metric"] == "flat"
    assert summary["arms"] == ["RR", "SS"]
    assert (summary["restarts"], summary["seed"], summary["covariance"]) == (3, 4, "diag")
    assert summary["state_order"] == "mean step of first visit"
    assert [run["steps"] for run in summary["runs"]] == [120, 120, 70, 120, 120, 0, 120, 120]
    assert [run["cut_at"] for run in summary["runs"]] == [None, None, 70 * 32, None, None, 32, None, None]
    assert [run["left_out"] for run in summary["runs"]] == [i == 5 for i in range(8)]
    assert {i for i, run in enumerate(summary["runs"]) if run["held_out"]} == set(selection.trust.held_out)
    assert summary["runs"][3]["run"] == 13
    assert [row["n_states"] for row in summary["table"]] == [1, 2]
    assert summary["table"][1]["restart_logliks"] == list(selection.table[1].restart_logliks)
    assert summary["warnings"] == list(selection.trust.warnings)


def test_arrays_have_the_shapes_of_the_store(stored) -> None:
    _, selection, _, steps, summary, arrays = stored
    n_states, total = selection.best.n_states, sum(run["steps"] for run in summary["runs"])
    assert arrays["path"].dtype == np.int16
    assert arrays["posterior"].dtype == np.float32
    assert arrays["steps"].dtype == arrays["offsets"].dtype == np.int64
    assert arrays["posterior"].shape == (total, n_states)
    assert arrays["transmat"].shape == (n_states, n_states)
    assert ("centre" in arrays) == (summary["normalize"] != "per-run")
    for index in range(8):
        here = slice(arrays["offsets"][index], arrays["offsets"][index + 1])
        np.testing.assert_array_equal(arrays["path"][here], selection.best.paths[index])
        np.testing.assert_array_equal(arrays["steps"][here], steps[index][: here.stop - here.start])


def test_the_model_comes_back(stored) -> None:
    runs, selection, _, _, summary, arrays = stored
    model = from_record(json.loads(json.dumps(summary)), arrays)
    assert model.dropped == selection.best.dropped
    assert model.scaling.logged == selection.best.scaling.logged
    found, expected = decode(model, runs), decode(selection.best, runs)
    for index in range(8):
        np.testing.assert_array_equal(found.paths[index], expected.paths[index])
        np.testing.assert_array_equal(found.posteriors[index], expected.posteriors[index])
        np.testing.assert_array_equal(model.paths[index], selection.best.paths[index])
        np.testing.assert_allclose(model.posteriors[index], selection.best.posteriors[index], atol=1e-6)


def test_numbers_that_json_lacks_become_none() -> None:
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(30, 2)) for _ in range(3)]
    selection = fit(runs, ["a", "b"], n_states=[1], restarts=1)
    summary, _ = to_record(selection, [{}] * 3, [np.arange(30)] * 3, restarts=1, seed=0)
    assert summary["table"][0]["heldout_se"] is None
    json.dumps(summary, allow_nan=False)


def test_refuses_labels_and_steps_of_other_runs(stored) -> None:
    _, selection, labels, steps, _, _ = stored
    with pytest.raises(ValueError, match="`labels` must match the 8 runs fitted; got 7"):
        to_record(selection, labels[:-1], steps, 3, 4)
    with pytest.raises(ValueError, match="`steps` must match"):
        to_record(selection, labels, steps[1:], 3, 4)
    with pytest.raises(ValueError, match=r"`steps\[1\]` must have one step per row"):
        to_record(selection, labels, [steps[0], steps[1][:-1], *steps[2:]], 3, 4)
