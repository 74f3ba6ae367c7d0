import time
from pathlib import Path

from data.store import open_store
from engine.jobs.request import request
from tests.engine.cli.commandline import forked


def test_a_worker_runs_what_is_queued_and_ends_on_a_signal(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    wanted = request("digits-shuffling", {"epochs": "1"}, ["SS"], "1")
    bad = store.catalog.create_job("train", "nope", {"study": "nope", "seeds": [0]}).id
    good = store.catalog.create_job("train", wanted.study.name, wanted.spec).id
    process = forked("--store", root, "worker")
    try:
        deadline = time.monotonic() + 90
        while store.catalog.job(good).status != "done" and time.monotonic() < deadline:
            time.sleep(0.2)
        process.terminate()
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert store.catalog.job(good).status == "done"
    assert store.catalog.job(bad).status == "failed"
    assert (process.returncode, out) == (0, "Started 2 jobs.\n"), err
    store.close()
