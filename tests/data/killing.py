"""Runs a backup, a restore or a tidying in a process that is killed at a chosen moment."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Killed = Callable[..., bool]


@pytest.fixture
def killed() -> Iterator[Killed]:
    """Give a function of a moment, what to do and its words: False when it came to its end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.data.keeping_child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    told, said = child.stdin, child.stdout

    def run(moment: int, what: str, *words: object) -> bool:
        told.write(json.dumps([moment, what, *map(str, words)]) + "\n")
        told.flush()
        status = int(said.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0

    yield run
    child.communicate(timeout=60)
