"""A fit leaves a store as JSON and comes back, to the same study or to another one."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from data.analyses import load, save
from data.errors import LabError
from data.store import Store, open_store
from data.traces import TraceWriter
from engine.analysis import latent
from engine.jobs.fit_import import import_fit

METRICS = ["norm", "layer/norm"]
STEPS = np.arange(0, 600, 10)


def study(store: Store, name: str, seeds: range, metrics: list[str], diverges: int | None = None) -> None:
    """Train a study of two phases: metrics of mean 0, then 5, with independent noise."""
    store.catalog.save_study(name, name, "A claim.", {}, "engine")
    job = store.catalog.create_job("train", name, {}).id
    runs = store.catalog.start_runs(job, name, [("A", seed, {}) for seed in seeds], 600, "cpu")
    with TraceWriter(store, job, metrics) as writer:
        for run, seed in zip(runs, seeds, strict=True):
            rng = np.random.default_rng(seed)
            phase = 5.0 * (np.arange(60) >= rng.integers(15, 45))
            values = {metric: rng.normal(size=60) + phase for metric in metrics}
            if seed == diverges:
                values["norm"][50] = np.inf
            writer.write(np.full(60, run), STEPS, STEPS / 10, STEPS * 0.1, values)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    store = open_store(tmp_path_factory.mktemp("lab") / "store", create=True)
    study(store, "home", range(6), METRICS)
    study(store, "away", range(10, 14), METRICS, diverges=12)
    study(store, "poor", range(2), ["norm"])
    runs = store.traces.matrices("home", METRICS)
    found = latent.fit([run.values for run in runs], METRICS, range(1, 4), "full", "pooled", restarts=3)
    labels = [{"run": run.run, "arm": run.arm, "seed": run.seed} for run in runs]
    moves = latent.explain(found.best, [run.values for run in runs])
    summary, arrays = latent.to_record(found, labels, [run.steps for run in runs], 3, 0, moves)
    row = save(store, "home", "latent", {}, summary, arrays)
    return store, latent.to_json(row.summary, load(store, row))


def test_at_home_it_is_the_very_same_fit(fitted: tuple[Store, str]) -> None:
    store, text = fitted
    told, arrays = latent.from_json(text)
    assert told["n_states"] == 2
    row = import_fit(store, "home", text, "states.json")
    back = load(store, row)
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array, err_msg=name)
    kept = {key: value for key, value in told.items() if key not in ("runs", "warnings", "trust")}
    assert {key: row.summary[key] for key in kept} == kept
    for name, found in row.summary["trust"].items():
        exact = name not in ("autocorrelation", "entropy", "occupancy")  # sums that may round otherwise
        assert found == (told["trust"][name] if exact else pytest.approx(told["trust"][name], rel=1e-12))
    assert row.summary["origin"] == "states.json"
    assert row.summary["warnings"][1:] == told["warnings"]
    for mine, theirs in zip(row.summary["runs"], told["runs"], strict=True):
        assert mine == theirs | {"fold": None}
    again = import_fit(store, "home", text, "states.json")
    assert again.id == row.id
    out = latent.to_json(row.summary, back)
    assert latent.from_json(out)[0] == row.summary


def test_elsewhere_its_states_are_read_off_the_runs_there(fitted: tuple[Store, str]) -> None:
    store, text = fitted
    model = latent.from_record(*latent.from_json(text))
    row = import_fit(store, "away", text, "states.json")
    arrays = load(store, row)
    runs = store.traces.matrices("away", METRICS)
    cut = [run.values[:50] if run.seed == 12 else run.values for run in runs]
    decoded = latent.decode(model, cut)
    np.testing.assert_array_equal(arrays["path"], np.concatenate(decoded.paths))
    np.testing.assert_allclose(arrays["posterior"], np.concatenate(decoded.posteriors), atol=1e-6)
    assert [run["cut_at"] for run in row.summary["runs"]] == [None, None, 500, None]
    assert [run["seed"] for run in row.summary["runs"]] == [10, 11, 12, 13]
    (move,) = row.summary["transitions"]
    assert (move["source"], move["target"], move["count"]) == (0, 1, 4)
    for position, step in zip(move["runs"], move["steps"], strict=True):
        path = decoded.paths[position]
        assert step == STEPS[int(np.flatnonzero(np.diff(path))[0]) + 1]
    assert row.summary["trust"]["occupancy"][1] == pytest.approx(arrays["path"].mean())
    assert row.summary["table"] == latent.from_json(text)[0]["table"]


def test_a_study_that_measures_less_is_refused(fitted: tuple[Store, str]) -> None:
    store, text = fitted
    with pytest.raises(LabError, match="`layer/norm`") as raised:
        import_fit(store, "poor", text, "states.json")
    assert "measures them" in raised.value.remedy
    assert not store.catalog.analyses("poor", "latent")


def broken(text: str, change: str) -> str:
    content = json.loads(text)
    summary, arrays = content["summary"], content["arrays"]
    match change:
        case "states":
            summary["n_states"] = 3
        case "metrics":
            summary["metrics"] = ["norm"]
        case "unknown metric":
            summary["metrics"] = ["norm", "other"]
        case "probabilities":
            arrays["transmat"]["values"][0][0] += 0.5
        case "objects":
            arrays["means"] = {"dtype": "object", "values": [[{}, {}], [{}, {}]]}
        case "every":
            summary["every"] = 0
        case "table":
            summary["table"][0].pop("bic")
        case "dropped":
            summary["dropped"] = [{"name": "norm"}]
        case "scale":
            arrays["scale"]["values"] = [1.0]
        case "summary":
            content["summary"] = []
        case "array":
            del arrays["path"]
    return json.dumps(content)


CHANGES = (
    "states", "metrics", "unknown metric", "probabilities", "objects", "every", "table", "dropped", "scale",
    "summary", "array",
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_damaged_file_is_refused_and_leaves_nothing(fitted: tuple[Store, str], change: str) -> None:
    store, text = fitted
    before = len(store.catalog.analyses("home", "latent"))
    assert broken(text, "") == text
    with pytest.raises(LabError, match="is not a fit") as raised:
        import_fit(store, "home", broken(text, change), "damaged.json")
    assert "`damaged.json`" in raised.value.message
    assert len(store.catalog.analyses("home", "latent")) == before


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("trap"),)  # type: ignore[return-value]


def test_a_pickle_is_text_that_is_no_fit(
    fitted: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, _ = fitted
    with pytest.raises(LabError, match="is not a fit"):
        import_fit(store, "home", pickle.dumps(Trap()).decode("latin1"), "fit.pkl")
    assert not (tmp_path / "trap").exists()
