import json
import re
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from data.store import open_store
from tests.engine.cli.commandline import engine, start


def test_serve_answers_prints_its_address_and_ends_cleanly(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lab", create=True)
    waiting = store.catalog.create_job("fit", "nothing", {"study": "nothing"}).id
    words = ("--store", store.root, "--json", "serve", "--headless")
    process = start(*words, DETOUR_JOBS_RUNNER="process")
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)", told["address"])[1])  # type: ignore[index]
        with urllib.request.urlopen(told["address"], timeout=30) as page:
            assert page.status == 200
        status, _, err = engine("--store", tmp_path / "lab", "serve", "--headless", "--port", port)
        assert status == 1
        assert str(port) in err
        deadline = time.monotonic() + 60
        while store.catalog.job(waiting).status != "failed" and time.monotonic() < deadline:
            time.sleep(0.1)  # nobody has opened a page, and the queue moves
        assert store.catalog.job(waiting).status == "failed"
        store.close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out == ""
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(told["address"], timeout=5)
