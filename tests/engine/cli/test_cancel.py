from pathlib import Path

from data.store import open_store
from engine.cli.main import main
from engine.jobs.request import request
from tests.engine.cli.commandline import answer, forked, running


def test_cancel_stops_a_job_from_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    wanted = request("digits-shuffling", {"epochs": "100000"}, ["SS"], "1")
    id = store.catalog.create_job("train", wanted.study.name, wanted.spec).id
    process = forked("--store", root, "worker", "--job", id)
    try:
        running(root)
        assert answer("--store", root, "cancel", id)["stop_requested"] is True
        assert answer("--store", root, "jobs", "--watch")[0]["status"] == "stopped"
    finally:
        process.kill()
        process.wait()
    assert main(["--store", str(root), "cancel", str(id)]) == 1
    assert main(["--store", str(root), "cancel", "99"]) == 1
    store.close()
