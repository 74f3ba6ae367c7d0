from pathlib import Path

import pytest

from engine.cli.main import main
from tests.engine.cli.commandline import STUDY, TRAIN, answer


@pytest.mark.slow
def test_fit_is_computed_once(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    study = answer("--store", root, *TRAIN[:-2], "--seeds=6", "--arms", "SS", "--set", "epochs=12")["study"]
    words = (
        "--store",
        root,
        "fit",
        study,
        "--states",
        "1..2",
        "--restarts",
        "2",
        "--metrics",
        "l2,var_w,trace",
    )
    first = answer(*words)
    assert first["status"] == "done"
    assert first["summary"]["n_states"] in (1, 2)
    assert {run["seed"] for run in first["summary"]["runs"]} == set(range(6))
    assert first["summary"]["requested"] == ["l2", "var_w", "trace"]
    again = answer(*words)
    assert again == first
    assert len(answer("--store", root, "jobs")) == 2
    assert answer(*words, "--seed", "1")["analysis"] != first["analysis"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--states", "8..1"), "8..1"),
        (("--states", "0"), "0"),
        (("--states", "many"), "many"),
        (("--metrics", "l2,nope"), "nope"),
        (("--arms", "nope"), "nope"),
        (("--normalize", "nope"), "nope"),
        (("--covariance", "nope"), "nope"),
        (("--restarts", "0"), "0"),
        (("--seed", "-1"), "-1"),
    ],
)
def test_a_fit_that_cannot_be_is_refused_before_a_job(
    lab: Path, words: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = len(answer("--store", lab, "jobs"))
    assert main(["--store", str(lab), "fit", STUDY, *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert len(answer("--store", lab, "jobs")) == before
