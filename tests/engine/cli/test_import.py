"""`import`: what it prints, what it leaves, and that nothing is left where it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.store import open_store
from engine.cli.main import main

CSV = "step,loss\n0,1.5\n1,0.5\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    for arm in ("SS", "RR"):
        for seed in (0, 1):
            path = tmp_path / "logs" / arm / f"seed_{seed}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{CSV}2,{seed}.{len(arm)}\n")
    (tmp_path / "logs" / "notes.txt").write_bytes(b"\x80\x04\x95 a pickle")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_rehearsal_tells_all_and_leaves_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "import", "logs", "--dry-run")
    assert (found["study"], found["format"], found["warnings"]) == ("logs", "delimited", [])
    same = {"rows": 3, "steps": [0, 2], "metrics": ["loss"]}
    assert found["runs"] == [
        {"name": f"{arm}/seed_{seed}", "arm": arm, "seed": seed} | same
        for arm in ("RR", "SS")
        for seed in (0, 1)
    ]
    assert [(one["name"], "pickle" in one["why"]) for one in found["skipped"]] == [("logs/notes.txt", True)]
    assert sorted(path.name for path in here.iterdir()) == ["logs"]


def test_an_import_is_there_known_again_and_undone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rehearsed = told(capsys, "import", "logs", "--dry-run")
    found = told(capsys, "import", "logs")
    assert found == rehearsed | {"import": 1}
    store = open_store(here / "lab")
    frame = store.traces.frame("logs", ["loss"])
    assert frame["loss"].tolist() == [1.5, 0.5, 0.2, 1.5, 0.5, 1.2] * 2
    again = told(capsys, "import", "logs")
    assert again["runs"] == []
    assert len(again["skipped"]) == 5
    assert store.traces.count("logs") == 12
    assert told(capsys, "import", "--undo", "1") == {"import": 1, "study": "logs", "runs": 4, "undone": True}
    assert store.catalog.studies() == []
    assert not list(store.uploads.iterdir())
    assert told(capsys, "import", "logs")["import"] == 2
    store.close()


def test_corrections_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "import",
        "logs",
        "--study",
        "mine",
        "--map",
        "train_loss=loss",
        "epoch=step",
        "--run",
        "RR/seed_0=A:7",
    )
    found = told(capsys, *words)
    assert found["study"] == "mine"
    run = found["runs"][0]
    assert (run["arm"], run["seed"], run["metrics"]) == ("A", 7, ["train_loss"])
    assert any("`step` counts as the step" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("import", "nothing.csv"), 1, "does not exist"),
        (("import",), 1, "No file was named"),
        (("import", "logs/notes.txt"), 1, "a pickle"),
        (("import", "logs", "--map", "step=what"), 1, "No file has a column `what`"),
        (("import", "logs", "--map", "what"), 1, "does not map a column"),
        (("import", "logs", "--study", "../x"), 1, "can be no study's name"),
        (("import", "--undo", "3"), 1, "no store"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, said: str
) -> None:
    assert main(list(words)) == status
    assert said in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["logs"]
