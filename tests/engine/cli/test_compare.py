from pathlib import Path

import numpy as np
import pytest

from data.store import open_store
from engine.analysis.shuffling import divergence, paired_effect
from engine.analysis.survival import log_rank
from engine.cli.main import main
from tests.engine.cli.commandline import STUDY, answer

TEACHER = "wu-gaussian-teacher@epochs=400"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with eight seeds of the Gaussian teacher, enough for a test to decide."""
    root = tmp_path_factory.mktemp("teacher") / "lab"
    answer("--store", root, "train", "wu-gaussian-teacher", "--seeds", "8", "--set", "epochs=400")
    return root


def test_compare_takes_the_studys_own_comparisons(lab: Path) -> None:
    data = answer("--store", lab, "compare", STUDY)
    assert [(one["a"], one["b"], one["role"], one["metric"]) for one in data["effects"]] == [
        ("SS", "RR", "treatment", "own_batch_risk"),
        ("SS", "RR", "treatment", "full_batch_risk"),
        ("SS no BN", "RR no BN", "control", "own_batch_risk"),
        ("SS no BN", "RR no BN", "control", "full_batch_risk"),
    ]
    for one in data["effects"]:
        assert one["low"] <= one["ratio"] <= one["high"]
        # Two pairs have four sign patterns, of which the observed one and its negative are the extreme.
        assert (one["n"], one["exact"], one["paired"]) == (2, True, True)
        assert one["p"] in (0.5, 1.0)
        assert (one["minimum_p"], one["seeds_needed"], one["verdict"]) == (0.5, 6, "too few seeds")
    assert [one["kind"] for one in data["readings"]] == ["unknown", "unknown"]
    assert all("at least 6 seeds" in one["sentence"] for one in data["readings"])


@pytest.mark.parametrize("arms", ["SS", "SS,SS", "SS,RR,SS no BN", "SS,nope"])
def test_compare_needs_two_arms_of_the_study(
    lab: Path, arms: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--store", str(lab), "compare", STUDY, "--arms", arms]) == 1
    assert arms in capsys.readouterr().err


def test_a_comparison_is_that_of_the_exported_rows(lab: Path) -> None:
    effect = answer("--store", lab, "compare", STUDY, "--arms", "SS,RR")["effects"][0]
    store = open_store(lab)
    frame = store.traces.frame(STUDY, ["own_batch_risk"])
    store.close()
    # Evaluated at steps 0 and 64, so the last tenth is the second of the two points.
    last = frame[frame["step"] == 64].set_index(["arm", "seed"])["own_batch_risk"]
    ratios = last["SS"] / last["RR"]
    assert effect["ratio"] == pytest.approx(float((ratios.prod()) ** (1 / len(ratios))), rel=1e-6)


def test_any_metric_can_be_compared_as_a_ratio_or_a_difference(lab: Path) -> None:
    words = ("--store", lab, "compare", STUDY, "--arms", "SS,RR", "--metric", "test_accuracy,l2")
    ratios, differences = answer(*words)["effects"], answer(*words, "--difference")["effects"]
    assert [one["metric"] for one in ratios] == ["test_accuracy", "l2"]
    assert ratios[0]["difference"] is None
    assert differences[0]["ratio"] is None
    store = open_store(lab)
    ends = store.traces.last(STUDY, ["l2"]).pivot(index="seed", columns="arm", values="value")
    store.close()
    expected = paired_effect(ends["SS"].to_numpy(), ends["RR"].to_numpy(), statistic="difference")
    assert differences[1]["difference"] == pytest.approx(expected.estimate)
    assert (differences[1]["low"], differences[1]["p"]) == (pytest.approx(expected.low), expected.p)


def test_a_metric_that_is_not_there_is_named(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(lab), "compare", STUDY, "--metric", "nope"]) == 1
    err = capsys.readouterr().err
    assert "`nope`" in err
    assert "own_batch_risk" in err


def test_divergence_and_its_times_are_those_of_the_traces(teacher: Path) -> None:
    data = answer("--store", teacher, "compare", TEACHER, "--arms", "SS,RR")
    store = open_store(teacher)
    found = {}
    for arm in ("SS", "RR"):
        runs = store.traces.matrices(TEACHER, ["own_batch_risk", "full_batch_risk"], [arm])
        values = np.stack([run.values for run in runs])
        found[arm] = divergence(runs[0].steps, values[..., 0], values[..., 1])
    store.close()
    told = {one["arm"]: one for one in data["divergence"]}
    for arm in ("SS", "RR"):
        assert told[arm]["kind"] == found[arm].kind
        assert told[arm]["slope"] == found[arm].slope
        assert told[arm]["at"] == [None if np.isnan(at) else at for at in found[arm].at]
        assert told[arm]["n"] == 8
    test = log_rank(
        np.concatenate([found["SS"].times, found["RR"].times]),
        np.concatenate([found["SS"].observed, found["RR"].observed]),
        np.arange(16) < 8,
    )
    assert data["times_to_divergence"][0]["p"] == test.p
    assert told["SS"]["kind"] == "distortion divergence"
    assert told["RR"]["kind"] == "none"
    assert data["readings"][0]["kind"] == "reversal"


def test_a_person_reads_the_same(teacher: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(teacher), "compare", TEACHER, "--arms", "SS,RR"]) == 0
    out = capsys.readouterr().out
    assert "SS: Distortion divergence: " in out
    assert "Sign reversal: SS ends lower than RR" in out
    assert "log-rank p = " in out
    assert "nan" not in out


def test_arms_without_a_shared_seed_are_compared_as_groups(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arm, seeds in (("SS", "0..2"), ("RR", "3..5")):
        answer(
            "--store", tmp_path / "lab", "train", "wu-gaussian-teacher", "--arms", arm, "--seeds", seeds,
            "--set", "epochs=20",
        )  # fmt: skip
    words = ("--store", tmp_path / "lab", "compare", "wu-gaussian-teacher@epochs=20", "--arms", "SS,RR")
    effect = answer(*words)["effects"][1]
    assert (effect["paired"], effect["n"], effect["exact"]) == (False, 6, True)
    assert effect["minimum_p"] == pytest.approx(0.1)
    assert effect["verdict"] == "too few seeds"
    assert main([*map(str, words)]) == 0
    assert "no seed shared" in capsys.readouterr().out
