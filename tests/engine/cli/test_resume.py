import signal
from pathlib import Path

import pytest

from data.store import open_store
from engine.cli.main import main
from tests.engine.cli.commandline import answer, forked, running


@pytest.mark.slow
def test_a_stopped_training_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "lab"
    words = ("--store", root, "train", "digits-shuffling", "--arms", "SS", "--seeds", "1")
    process = forked(*words, "--set", "epochs=24")
    try:
        running(root)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "python -m engine resume 1" in out
    store = open_store(root)
    (row,) = store.catalog.checkpoints(1, "state")
    before = store.catalog.runs()[0]
    assert 0 < row.step <= before.step < 768
    rows = store.traces.count(before.study)
    data = answer("--store", root, "resume", 1)
    assert data.pop("seconds") > 0
    assert data == {"job": 1, "study": before.study, "status": "done", "runs": 1, "rows": 769}
    assert rows < store.traces.count(before.study) == 769
    (after,) = store.catalog.runs()
    assert (after.id, after.status, after.step) == (before.id, "done", 768)
    told = answer("--store", root, "jobs")
    assert [(job["job"], job["status"], job["step"], job["steps"]) for job in told] == [(1, "done", 768, 768)]
    store.close()


def test_what_cannot_be_resumed_is_refused_and_nothing_is_changed(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = answer("--store", lab, "jobs")
    capsys.readouterr()
    for job, told in (("1", "The job is done"), ("99", "no job 99")):
        assert main(["--store", str(lab), "resume", job]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert told in err
    assert answer("--store", lab, "jobs") == before
