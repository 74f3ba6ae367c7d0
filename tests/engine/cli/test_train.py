import json
import shutil
import signal
from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from engine.jobs.processes import me
from tests.engine.cli.commandline import STUDY, TRAIN, answer, forked, running


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


def test_a_training_can_be_queued_and_resumed_in_its_turn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "lab"
    told = answer("--store", root, *TRAIN, "--queue")
    assert told == {"job": 1, "study": STUDY, "status": "queued", "position": 1}
    assert main(["--store", str(root), *TRAIN, "--queue"]) == 0
    assert "Job 2 (train digits-shuffling@epochs=2) is number 2 in the queue" in capsys.readouterr().out
    (second, first) = answer("--store", root, "jobs")
    assert (first["status"], first["position"], second["position"]) == ("queued", 1, 2)
    assert answer("--store", root, "cancel", 1)["status"] == "stopped"
    assert answer("--store", root, "resume", 1, "--queue")["position"] == 1
    store = open_store(root)
    assert [row.status for row in store.catalog.jobs()] == ["queued", "queued"]
    assert store.catalog.study(STUDY).title
    store.close()


def test_where_every_gpu_is_taken_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DETOUR_JOBS_GPUS", "1")
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    store.catalog.create_job("train", "s", {"device": "cuda"}, me(), gpu=0)
    assert main(["--store", str(root), *TRAIN]) == 1
    told = capsys.readouterr().err
    assert "Every GPU is taken" in told
    assert "--device cpu" in told
    assert len(store.catalog.jobs()) == 1
    store.close()
