from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from tests.engine.cli.commandline import STUDY, answer


def test_compare_takes_the_studys_own_comparisons(lab: Path) -> None:
    effects = answer("--store", lab, "compare", STUDY)["effects"]
    assert [(one["a"], one["b"], one["role"], one["metric"]) for one in effects] == [
        ("SS", "RR", "treatment", "own_batch_risk"),
        ("SS", "RR", "treatment", "full_batch_risk"),
        ("SS no BN", "RR no BN", "control", "own_batch_risk"),
        ("SS no BN", "RR no BN", "control", "full_batch_risk"),
    ]
    for one in effects:
        assert one["low"] <= one["ratio"] <= one["high"]
        # Two pairs have four sign patterns, of which the observed one and its negative are the extreme.
        assert (one["n"], one["exact"]) == (2, True)
        assert one["p"] in (0.5, 1.0)


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
