"""Runs a backup, a restore or a tidying in a process that is killed at a chosen moment."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


class Killer:
    """The process that forks those to be killed."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.data.keeping_child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def _run(self, moment: int, what: str, *words: object) -> tuple[int, int]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([moment, what, *map(str, words)]) + "\n")
        self.process.stdin.flush()
        status, changes = self.process.stdout.readline().split()
        assert int(status) in (0, -signal.SIGKILL)
        return int(status), int(changes)

    def moments(self, every: int, last: int, what: str, *words: object) -> list[int]:
        """Let it come to its end, and return moments to kill it at: some, and each of the last ones."""
        status, changes = self._run(0, what, *words)
        assert status == 0
        assert changes > 20
        return sorted({*range(1, changes - last, every), *range(changes - last, changes + 1)})

    def kill(self, moment: int, what: str, *words: object) -> None:
        """Run it in a process that is killed before its `moment`-th change."""
        self._run(moment, what, *words)


@pytest.fixture
def killer() -> Iterator[Killer]:
    killer = Killer()
    yield killer
    killer.process.communicate(timeout=60)
