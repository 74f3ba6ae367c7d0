"""Bad input: one message, its exit status, nothing made."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from tests.engine.cli.commandline import ROOT, STUDY, TRAIN, snapshot


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("train", "no-such-study"), "no-such-study"),
        (("train", "digits-shuffling", "--arms", "SS,XX"), "XX"),
        (("train", "digits-shuffling", "--set", "nope=1"), "nope"),
        (("train", "digits-shuffling", "--set", "epochs"), "epochs"),
        (("train", "digits-shuffling", "--set", "epochs=many"), "many"),
        (("train", "digits-shuffling", "--set", "epochs=0"), "0"),
        (("train", "digits-shuffling", "--set", "epochs=1000000000"), "free"),
        (("train", "digits-shuffling", "--device", "tpu"), "tpu"),
        (("train", "digits-shuffling", "--set", "model.width=0"), "width"),
        (("train", "digits-shuffling", "--set", "model.norm=layer"), "layer"),
        (("train", "digits-shuffling", "--set", "model.wide=3"), "wide"),
        (("train", "digits-shuffling", "--set", "model.bias=no"), "'no'"),
        (("train", "digits-shuffling", "--set", "lr=0.1", "--set", "lr=0.2"), "'0.2'"),
        *(
            (("train", "digits-shuffling", f"--seeds={text}"), text)
            for text in ("0..", "5..2", "x", "-1", "0", "1..-2")
        ),
        (("studies", "--store", "postgresql://me:secret@host/db"), "postgresql://"),
        (("jobs",), "lab"),
        (("jobs", "--watch"), "lab"),
        (("train", "digits-shuffling", "--checkpoint-seconds", "-1"), "-1"),
        (("train", "digits-shuffling", "--checkpoint-seconds", "nan"), "nan"),
        (("resume", "1"), "lab"),
        (("cancel", "1"), "lab"),
        (("fit", "digits-shuffling"), "lab"),
        (("compare", "digits-shuffling"), "lab"),
        (("export", "digits-shuffling", "out.csv"), "lab"),
        (("worker", "--job", "1"), "lab"),
        (("bench", "no-such-benchmark"), "no-such-benchmark"),
        (("serve", "--host", "0.0.0.0"), "0.0.0.0"),
        (("serve", "--host", "example.org"), "example.org"),
        (("serve", "--port", "70000"), "70000"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_is_one_message_and_changes_nothing(
    words: tuple[str, ...],
    named: str,
    as_json: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    assert main([*(["--json"] if as_json else []), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert named in err
    assert 3 <= len(err.splitlines()) <= 5
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [TRAIN, ("studies",), ("jobs",), ("worker",), ("serve",)])
def test_a_store_that_is_a_file_is_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab"
    path.write_text("mine")
    assert main([*words, "--store", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "is a file" in err
    assert snapshot(tmp_path) == {str(path): b"mine"}


@pytest.mark.sqlite
@pytest.mark.parametrize("words", [TRAIN, ("jobs",), ("export", STUDY, "out.csv")])
def test_a_store_of_a_newer_version_is_refused(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "lab"
    open_store(root, create=True).close()
    connection = sqlite3.connect(root / "catalog.sqlite")
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = snapshot(root)
    assert main(["--store", str(root), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "newer version" in err
    assert snapshot(root) == before


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nope",),
        ("train",),
        ("train", "digits-shuffling", "--sed", "3"),
        ("train", "digits-shuffling", "--arms", ""),
        ("cancel", "x"),
        ("resume",),
        ("resume", "x"),
        ("jobs", "1"),
    ],
)
def test_wrong_usage_is_exit_status_2(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2


def test_a_defect_shows_its_traceback_and_is_told_apart(tmp_path: Path) -> None:
    code = (
        "import runpy, sys, engine.cli.commands.studies as studies; studies.locate = None;"
        "sys.argv = ['x', 'studies']; runpy.run_module('engine', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "TypeError" in done.stderr
