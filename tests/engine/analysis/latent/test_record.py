import json
from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.latent import decode, explain, fit, from_record, to_record

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
    transitions = explain(selection.best, [np.where(run == 0.0, 1e-3, run) for run in runs])
    summary, arrays = to_record(selection, labels, steps, 3, 4, transitions)
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
    folds = [[i for i, run in enumerate(summary["runs"]) if run["fold"] == number] for number in range(5)]
    assert folds == [sorted(fold) for fold in selection.trust.folds]
    assert summary["trust"]["folds"] == 5
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


def test_transitions_say_in_which_run_and_at_which_step(stored) -> None:
    _, selection, _, _, summary, arrays = stored
    moves: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for index, path in enumerate(selection.best.paths):
        steps = arrays["steps"][arrays["offsets"][index] : arrays["offsets"][index + 1]]
        for t in range(1, len(path)):
            if path[t] != path[t - 1]:
                moves.setdefault((int(path[t - 1]), int(path[t])), []).append((index, int(steps[t])))
    assert moves
    assert {
        (each["source"], each["target"]): list(zip(each["runs"], each["steps"], strict=True))
        for each in summary["transitions"]
    } == moves


def test_transitions_keep_what_drives_them(stored) -> None:
    runs, selection, _, _, summary, _ = stored
    explained = explain(selection.best, [np.where(run == 0.0, 1e-3, run) for run in runs])
    for kept, each in zip(summary["transitions"], explained, strict=True):
        assert (kept["source"], kept["target"], kept["count"]) == (each.source, each.target, each.count)
        for name in ("gradient", "strength", "difference"):
            assert len(kept[name]) == len(summary["metrics"])
            np.testing.assert_array_equal(kept[name], getattr(each, name))


def test_thinned_runs_keep_the_steps_of_the_rows_used(chains) -> None:
    runs = [run.copy() for run in chains(2, n_runs=6, n_steps=61).runs]
    runs[1][31, 0] = np.nan
    selection = fit(runs, NAMES[:5], n_states=[2], restarts=2, every=3)
    steps = [np.arange(61) * 10] * 6
    transitions = explain(selection.best, runs)
    summary, arrays = to_record(selection, [{}] * 6, steps, 2, 0, transitions)
    here = slice(arrays["offsets"][1], arrays["offsets"][2])
    np.testing.assert_array_equal(arrays["steps"][here], np.arange(0, 310, 30))
    assert summary["runs"][1]["cut_at"] == 310
    assert summary["every"] == 3
    assert all(step % 30 == 0 for each in summary["transitions"] for step in each["steps"])
    assert from_record(summary, arrays).scaling.every == 3


def test_numbers_that_json_lacks_become_none() -> None:
    rng = np.random.default_rng(0)
    runs = [np.repeat(rng.normal(size=(5, 2)), 1, axis=0) for _ in range(12)]
    selection = fit(runs, ["a", "b"], n_states=[1], restarts=1, normalize="pooled")
    unsure = replace(selection, trust=replace(selection.trust, autocorrelation=np.array([np.nan, 0.1])))
    summary, _ = to_record(unsure, [{}] * 12, [np.arange(5)] * 12, restarts=1, seed=0)
    assert summary["trust"]["autocorrelation"] == [None, 0.1]
    json.dumps(summary, allow_nan=False)


def test_refuses_labels_and_steps_of_other_runs(stored) -> None:
    _, selection, labels, steps, _, _ = stored
    with pytest.raises(ValueError, match="`labels` must match the 8 runs fitted; got 7"):
        to_record(selection, labels[:-1], steps, 3, 4)
    with pytest.raises(ValueError, match="`steps` must match"):
        to_record(selection, labels, steps[1:], 3, 4)
    with pytest.raises(ValueError, match=r"`steps\[1\]` must have one step per row"):
        to_record(selection, labels, [steps[0], steps[1][:-1], *steps[2:]], 3, 4)
