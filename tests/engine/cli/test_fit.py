from pathlib import Path

import numpy as np
import pytest

from engine.analysis.latent import from_json, from_record
from engine.cli.main import main
from tests.engine.cli.commandline import STUDY, TRAIN, answer
from tests.postgresql import copy_store


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


def test_topology_thinning_refits_and_a_file_of_the_fit(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = copy_store(lab, tmp_path / "lab"), tmp_path / "fit.json"
    words = ["--store", root, "fit", STUDY, "--states", "3", "--restarts", "2", "--metrics", "batch_loss"]
    words += ["--topology", "left-to-right", "--every", "2", "--refits", "3"]
    found = answer(*words, "--out", out)
    summary = found["summary"]
    assert (summary["topology"], summary["every"], summary["refits"]["count"]) == ("left-to-right", 2, 3)
    assert [run["steps"] for run in summary["runs"]] == [32] * 8
    kept, arrays = from_json(out.read_text(encoding="utf-8"))
    assert kept == summary
    assert arrays["refit_path"].shape == (3, 8 * 32)
    assert arrays["refit_counts"].sum(axis=1).tolist() == [8] * 3  # four arms of two seeds
    forward = from_record(kept, arrays).transmat > 0
    order = np.argsort(-forward.sum(axis=1))
    assert (forward[np.ix_(order, order)] == np.triu(np.ones((3, 3), dtype=bool))).all()

    again = tmp_path / "again.json"
    assert main([*map(str, words), "--out", str(again)]) == 0
    told = capsys.readouterr().out
    assert "This fit is there already." in told
    share = np.mean(summary["refits"]["agreement"])
    assert f"3 refits to bootstrap samples of the seeds put {share:.1%} of the rows" in told
    assert again.read_bytes() == out.read_bytes()

    ergodic = answer(*words[:-6], "--every", "2", "--refits", "0")
    assert ergodic["analysis"] != found["analysis"]
    assert ergodic["summary"]["topology"] == "ergodic"
    assert "refits" not in ergodic["summary"]


def test_a_file_that_cannot_be_written_leaves_the_fit_in_the_store(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = copy_store(lab, tmp_path / "lab"), tmp_path / "nowhere" / "fit.json"
    words = ["--store", str(root), "fit", STUDY, "--states", "1", "--metrics", "batch_loss", "--refits", "0"]
    assert main([*words, "--out", str(out)]) == 1
    assert str(out) in capsys.readouterr().err
    assert answer(*words)["job"] == 2  # the one that fitted; nothing was fitted again
    assert len(answer("--store", root, "jobs")) == 2


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
        (("--topology", "nope"), "nope"),
        (("--every", "0"), "`every`"),
        (("--refits", "-1"), "`refits`"),
        (("--refits", "1001"), "1001"),
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
