"""`import`: what it prints, what it leaves, and that nothing is left where it refuses."""

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from data.catalog_jobs import Process
from data.store import open_store
from engine.cli.main import main
from engine.jobs.queue import reap

CSV = "step,loss\n0,1.5\n1,0.5\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    for arm in ("SS", "RR"):
        for seed in (0, 1):
            path = tmp_path / "logs" / arm / f"seed_{seed}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{CSV}2,{seed}.{'2' if arm == 'SS' else '20'}\n")
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


def test_files_of_one_name_are_told_apart_by_their_folders(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, metric in ((0, "loss"), (1, "acc")):
        path = here / "ppo" / f"seed_{seed}" / "progress.csv"
        path.parent.mkdir(parents=True)
        path.write_text(f"step,{metric}\n0,1.5\n1,0.5\n")
    found = told(capsys, "import", *map(str, sorted((here / "ppo").glob("*/*"))), "--dry-run")
    assert found["study"] == "ppo"
    assert [(run["seed"], run["metrics"]) for run in found["runs"]] == [(0, ["loss"]), (1, ["acc"])]


def test_a_file_given_twice_is_taken_once_and_a_copy_is_said(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "copy.csv").write_bytes((here / "logs" / "SS" / "seed_0.csv").read_bytes())
    found = told(capsys, "import", "logs/SS", "logs/SS/seed_0.csv", "copy.csv", "--dry-run")
    assert [run["rows"] for run in found["runs"]] == [3, 3, 3]
    assert [one["why"] for one in found["skipped"]] == ["it was given twice"]
    assert any("has the very bytes of" in one for one in found["warnings"])


def test_runs_that_are_replaced_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "import", "logs/SS/seed_0.csv", "--study", "mine")["warnings"] == []
    (here / "logs" / "SS" / "seed_0.csv").write_text(CSV)
    again = told(capsys, "import", "logs/SS/seed_0.csv", "--study", "mine")
    assert any("1 runs of `mine` have the same arm and seed" in one for one in again["warnings"])


def test_names_that_are_no_text_are_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (b"caf\xe9_seed0.csv", b"a\n\x1b[31m_seed1.csv"):
        (here / "odd").mkdir(exist_ok=True)
        Path(os.fsdecode(os.fsencode(here / "odd") + b"/" + name)).write_text(CSV + f"2,{len(name)}\n")
    found = told(capsys, "import", "odd")
    assert {run["arm"] for run in found["runs"]} == {"caf\ufffd", "a\ufffd\ufffd[31m"}


def test_what_a_killed_import_left_is_cleared_away(here: Path) -> None:
    store = open_store(here / "lab", create=True)
    gone = Process(2**22 - 1, 0.0, socket.gethostname())
    job = store.catalog.create_job("import_logs", "mine", {}, gone)
    for name in (f"{job.id}-0-0123456789abcdef.duckdb", f"{job.id}-0.tmp"):
        (store.segments / name).write_bytes(b"never came to count")
    assert reap(store) == [job.id]
    assert store.catalog.job(job.id).status == "stopped"
    assert not [*store.segments.iterdir(), *store.journals.iterdir()]


def test_names_from_files_cannot_steer_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "odd.jsonl").write_text('{"step": 0, "a\\u001b[31m": 1, "run": "x\\u202eb"}\n' * 2)
    assert main(["import", "odd.jsonl", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "a\ufffd[31m" in out
    assert not set(out) & {"\x1b", "\u202e"}
