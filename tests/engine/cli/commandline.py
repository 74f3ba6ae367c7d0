"""Running commands of the engine, in this process and in ones of their own."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from data.store import catalogue_file, open_store
from engine.cli.main import main
from tests.engine.forking import Forked

ROOT = Path(__file__).resolve().parents[3]
STUDY = "digits-shuffling@epochs=2"
TRAIN = ("train", "digits-shuffling", "--seeds", "2", "--set", "epochs=2")


def start(*words: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "engine", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def forked(*words: object, **environment: str) -> Forked:
    """Start what `start` does in a process that need not load torch first."""
    return Forked(words, environment)


def engine(*words: object, **environment: str) -> tuple[int, str, str]:
    process = forked(*words, **environment)
    out, err = process.communicate(timeout=300)
    return process.wait(), out, err


def answer(*words: object) -> Any:
    """Run a command in this process, which saves a start of Python, and return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main([*map(str, words), "--json"])
    assert status == 0
    return json.loads(out.getvalue())


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def running(root: Path) -> None:
    """Wait until the store's job has written something."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        if catalogue_file(root):
            store = open_store(root)
            jobs = store.catalog.jobs()
            store.close()
            if jobs and jobs[0].step > 0:
                return
        time.sleep(0.2)
    raise AssertionError("The job wrote nothing in 90 s.")
