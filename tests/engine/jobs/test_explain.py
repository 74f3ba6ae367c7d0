"""What the data orders of a trained study do, read off its kept weights."""

from pathlib import Path

import numpy as np
import pytest

from data import checkpoints
from data.analyses import load
from data.errors import LabError
from data.store import Store, open_store
from engine.analysis.shuffling import dataset, normalize, risk, separability, verdict
from engine.analysis.shuffling.explanation import picture, table
from engine.cli.main import main
from engine.datasets import dataset as named
from engine.jobs import explain
from engine.jobs.explain_request import KIND, explain_request
from engine.training.orderings import single_shuffle
from tests.engine.cli.commandline import answer

SIX = "wu-six-points@epochs=400"
DIGITS = "digits-shuffling@epochs=2"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("explain") / "lab"
    answer("--store", root, "train", "wu-six-points", "--seeds", "6", "--set", "epochs=400")
    answer("--store", root, "train", "digits-shuffling", "--seeds", "2", "--set", "epochs=2")
    answer(
        *("--store", root, "train", "wu-regression", "--seeds", "2", "--set", "epochs=20"),
        *("--set", "evaluate_every=160"),
    )
    return root


@pytest.fixture
def store(lab: Path) -> Store:
    return open_store(lab)


def explained(store: Store, study: str, **wanted: object) -> tuple[dict, dict]:  # type: ignore[type-arg]
    spec = explain_request(store, study, **wanted).spec  # type: ignore[arg-type]
    job = store.catalog.create_job("explain", study, spec).id
    ending = explain.run(store, job, lambda *told: False)
    row = store.catalog.analysis(ending.result["analysis"])
    return row.summary, load(store, row)


def test_every_checkpoint_of_the_six_points_has_its_risks_and_its_verdict(store: Store) -> None:
    summary, arrays = explained(store, SIX)
    frame = table(summary["runs"], summary["cautions"], arrays)
    assert summary["steps"] == [0, 300, 600, 1200]
    assert len(frame) == 2 * 6 * 4
    assert frame["exact"].all()
    X, y, *_ = named("six-points").load()
    full = normalize(X)
    ids = {(run.arm, run.seed): run.id for run in store.catalog.runs(SIX)}
    for row in frame.to_dict("records"):
        _, weights = checkpoints.weights(store, ids[row["arm"], row["seed"]], row["step"])
        M = weights["layers.1.weight"]
        order = single_shuffle(6, row["seed"], 0)
        assert row["own"] == pytest.approx(risk(M, *dataset(X, y, 2, order), "signs"), rel=1e-9)
        assert row["reshuffled"] == pytest.approx(risk(M, *dataset(X, y, 2, "rr"), "signs"), rel=1e-9)
        assert row["full"] == pytest.approx(risk(M, full, y, "signs"), rel=1e-9)
        seen = order if row["arm"] == "SS" else "rr"
        split = separability(*dataset(X, y, 2, seen))
        told = verdict(split, full, y)
        assert (row["kind"], row["complete"]) == (told.kind, split.certificate.complete)
        assert row["slope"] == pytest.approx(told.slope)
    assert (frame.loc[frame["arm"] == "RR", "kind"] == "bounded").all()
    assert set(frame.loc[frame["arm"] == "SS", "kind"]) > {"GD risk diverges"}


def test_two_classes_are_told_apart_and_drawn_and_the_control_is_without_distortion(store: Store) -> None:
    summary, arrays = explained(store, DIGITS, arms=["SS", "SS no BN"], classes=(3, 8))
    assert summary["classes"] == [3, 8]
    frame = table(summary["runs"], summary["cautions"], arrays)
    control = frame[frame["arm"].str.contains("no BN")]
    np.testing.assert_allclose(control["own"], control["full"], rtol=1e-9)
    assert (np.abs(frame["own"] / frame["full"] - 1)[~frame["arm"].str.contains("no BN")] > 1e-7).all()
    assert any("no order moves" in note for note in summary["notes"]["SS no BN"])
    drawn = picture(arrays, int(frame.loc[frame["arm"] == "SS", "place"].iloc[-1]))
    assert drawn is not None
    assert drawn.own.rows == drawn.full.rows == len(drawn.full.label)
    assert {one["class"] for one in summary["one_against_rest"]} == set(range(10))
    chosen, _ = explained(store, DIGITS, arms=["SS"], seeds=[1])
    assert len(set(chosen["classes"])) == 2
    assert {(run["arm"], run["seed"]) for run in chosen["runs"]} == {("SS", 1)}


def test_values_have_the_distances_that_training_measured(store: Store) -> None:
    name = "wu-regression@epochs=20"
    summary, arrays = explained(store, name)
    frame = table(summary["runs"], summary["cautions"], arrays)
    assert (frame["kind"] == "").all()
    ours = frame[frame["step"] == 320].set_index(["arm", "seed"]).sort_index()
    measured = store.traces.frame(name, ["distance_to_own_optimum", "distance_to_full_optimum"])
    theirs = measured[measured["step"] == 320].set_index(["arm", "seed"]).sort_index()
    np.testing.assert_allclose(ours["distance_own"], theirs["distance_to_own_optimum"], rtol=1e-9)
    np.testing.assert_allclose(ours["distance_full"], theirs["distance_to_full_optimum"], rtol=1e-9)


def test_it_is_computed_once_and_stops_when_asked(store: Store) -> None:
    spec = explain_request(store, SIX, seed=5).spec
    jobs = [store.catalog.create_job("explain", SIX, spec).id for _ in range(3)]
    seen: list[int] = []

    def after_three(step: int, steps: int, message: str = "") -> bool:
        seen.append(step)
        return step >= 3

    assert explain.run(store, jobs[0], after_three).status == "stopped"
    assert seen == [0, 1, 2, 3]
    first = explain.run(store, jobs[1], lambda *told: False).result
    again = explain.run(store, jobs[2], lambda *told: False).result
    assert (first["explained"], again["explained"]) == (True, False)
    assert first["analysis"] == again["analysis"]


def test_weights_that_are_not_finite_are_counted_and_spoil_nothing(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(lab)
    whole = checkpoints.load

    def broken(store: Store, row: object) -> dict[str, np.ndarray]:
        tensors = {name: one.copy() for name, one in whole(store, row).items()}  # type: ignore[arg-type]
        tensors["layers.1.weight"][0] = np.nan
        return tensors

    monkeypatch.setattr(checkpoints, "load", broken)
    summary, arrays = explained(store, SIX, arms=["SS"], seed=9)
    frame = table(summary["runs"], summary["cautions"], arrays)
    assert len(summary["not_finite"]) == 4
    assert len(frame) == 5 * 4
    assert np.isfinite(frame["own"]).all()


@pytest.mark.parametrize(
    ("study", "wanted", "told"),
    [
        ("nope", {}, "nope"),
        (SIX, {"arms": ["XX"]}, "has no arm `XX`"),
        (SIX, {"seeds": [99]}, "no run of seed 99"),
        (DIGITS, {"classes": (3, 3)}, "two different classes"),
        (DIGITS, {"classes": (3, 12)}, "classes 0 to 9; got 12"),
        (SIX, {"classes": (0, 1)}, "has signs as targets"),
        (SIX, {"seed": -1}, "must be 0 to"),
    ],
)
def test_what_cannot_be_explained_is_said(store: Store, study: str, wanted: dict, told: str) -> None:  # type: ignore[type-arg]
    before = len(store.catalog.analyses(kind=KIND))
    with pytest.raises(LabError, match=told):
        explained(store, study, **wanted)
    assert len(store.catalog.analyses(kind=KIND)) == before


def test_an_uploaded_study_and_one_without_weights_are_refused(store: Store) -> None:
    store.catalog.save_study("logs", "Logs", "A claim.", {}, "upload")
    with pytest.raises(LabError, match="was uploaded"):
        explain_request(store, "logs")


def test_the_command_prints_the_last_checkpoint(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = answer("--store", lab, "explain", SIX)
    reshuffled, single = sorted(data["arms"], key=lambda one: one["arm"])
    assert (reshuffled["diverging"]["runs"], reshuffled["certified"], reshuffled["n"]) == (0, 6, 6)
    assert single["diverging"]["low"] < single["diverging"]["share"] < single["diverging"]["high"]
    capsys.readouterr()
    assert main(["--store", str(lab), "explain", DIGITS, "--classes", "3,8", "--arms", "SS"]) == 0
    text = capsys.readouterr().out
    assert "class 3 against class 8" in text
    assert "L_GD" in text
    assert main(["--store", str(lab), "explain", "wu-regression@epochs=20"]) == 0
    assert "to M*_RR" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--store", str(lab), "explain", DIGITS, "--classes", "three"])
