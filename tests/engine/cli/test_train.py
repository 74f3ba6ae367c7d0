import json
import shutil
import signal
from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from tests.engine.cli.commandline import TRAIN, forked, running


def test_training_says_how_many_runs_diverged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("train", "digits-shuffling", "--seeds=2", "--arms", "RR no BN", "--set", "lr=1e9")
    assert main(["--store", str(tmp_path / "lab"), *words]) == 0
    assert "2 of the runs diverged" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_a_training_and_keeps_its_rows(tmp_path: Path, number: signal.Signals) -> None:
    root = tmp_path / "lab"
    words = ("--store", root, "--json", "train", "digits-shuffling", "--arms", "SS", "--seeds", "1")
    process = forked(*words, "--set", "epochs=100000")
    try:
        running(root)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    data = json.loads(out)
    assert data["status"] == "stopped"
    assert data["rows"] > 0
    store = open_store(root)
    assert store.catalog.job(data["job"]).status == "stopped"
    assert {run.status for run in store.catalog.runs()} == {"stopped"}
    assert store.traces.count(data["study"]) == data["rows"]
    store.close()


def test_the_disk_is_looked_at_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert main(["--store", str(tmp_path / "lab"), *TRAIN]) == 1
    assert "1,000 bytes free" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
