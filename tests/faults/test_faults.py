"""A few faults, one round each; `python -m tests.faults --rounds 100` meets them all at random."""

import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.disk import Disk
from tests.faults.injecting import FAULTS, Fault, tear
from tests.faults.knowing import Known
from tests.faults.lab import Lab
from tests.faults.rounds import Rounds

pytestmark = [pytest.mark.slow, pytest.mark.sqlite]


@pytest.fixture
def rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rounds]:
    monkeypatch.setenv("DETOUR_JOBS_RUNNER", "worker")
    lab = Lab(tmp_path, Disk(tmp_path, "folder"))
    yield Rounds(lab, random.Random(0))
    lab.close()


def kill_all_but_the_app_itself(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Leave the web server without the service that began it, and journals torn in the middle of a batch."""
    lab.hold()
    service = lab.app.process
    apps = set() if service is None else set(service.children())
    lab.kill([one for one in lab.processes() if one not in apps])
    tear(lab, chance)
    lab.go_on()
    _, left = psutil.wait_procs(apps, 30)
    return [f"the app {one.pid} holds its port for ever" for one in left]


def test_a_lab_is_whole_after_faults(rounds: Rounds) -> None:
    for fault in (
        Fault("kill -9 and torn journals", "file", kill_all_but_the_app_itself),
        FAULTS["flipped byte in a sealed file"],
    ):
        outcome = rounds.play(fault)
        assert outcome.findings == []
        assert outcome.lost == 0
        assert outcome.acknowledged > 0
