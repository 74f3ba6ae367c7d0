"""`backup` and `restore` on the command line."""

from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from tests.engine.cli.commandline import answer
from tests.postgresql import copy_store


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main([*map(str, words)]) == 1
    return capsys.readouterr().err


def test_backup_and_restore(lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = answer("--store", lab, "backup", tmp_path / "backup")
    assert made["damaged"] == made["stopped"] == []
    assert made["copied"] == made["files"] - 1
    assert answer("--store", lab, "backup", tmp_path / "backup")["copied"] == 0
    done = answer("--store", tmp_path / "again", "restore", tmp_path / "backup")
    assert (done["files"], done["bytes"], done["former"]) == (made["files"], done["bytes"], None)
    assert "--replace" in refused(capsys, "--store", tmp_path / "again", "restore", tmp_path / "backup")
    done = answer("--store", tmp_path / "again", "restore", tmp_path / "backup", "--replace")
    for root in (tmp_path / "again", Path(done["former"])):
        assert answer("--store", root, "check")["findings"] == []
        store = open_store(root)
        assert len(store.catalog.runs()) == 8
        store.close()


def test_what_to_restore_must_be_said(lab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["there", "--catalogue", "0001"]):
        assert "Restore what?" in refused(capsys, "--store", lab, "restore", *words)
    assert "There is no such catalogue" in refused(capsys, "--store", lab, "restore", "--catalogue", "0001")


def test_tidy(lab: Path, tmp_path: Path) -> None:
    root = copy_store(lab, tmp_path / "lab")
    store = open_store(root)
    study = store.catalog.studies()[0].name
    store.catalog.delete_study(study)
    store.close()
    words = ("--store", root, "tidy", "--undo-days", 0)
    rehearsed = answer(*words, "--dry-run")
    assert (len(rehearsed["runs"]), rehearsed["studies"], rehearsed["freed"]) == (8, [study], 0)
    assert answer("--store", root, "tidy")["runs"] == []
    done = answer(*words)
    assert (len(done["runs"]), done["studies"], done["left"]) == (8, [study], [])
    assert done["freed"] > 0
    assert answer("--store", root, "check")["findings"] == []
