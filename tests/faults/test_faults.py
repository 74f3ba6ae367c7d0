"""A round of a few kinds of fault together; `python -m tests.faults --rounds 100` meets all at random."""

import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.disk import Disk
from tests.faults.injecting import Fault, flip_byte, tear
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


def everything(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill all but the web server, which has to see so itself; tear journals; then flip a byte of a file."""
    lab.hold()
    service = lab.app.process
    apps = set() if service is None else set(service.children())
    lab.kill([one for one in lab.processes() if one not in apps])
    tear(lab, chance)
    _, left = psutil.wait_procs(apps, 60)
    lab.go_on()
    assert lab.ready()
    return [f"the app {one.pid} goes on alone" for one in left] + flip_byte(lab, known, chance)


def test_a_lab_is_whole_after_faults(rounds: Rounds) -> None:
    outcome = rounds.play(Fault("kill -9, torn journals, a flipped byte", "file", everything))
    assert outcome.findings == []
    assert outcome.lost == 0
    assert outcome.acknowledged > 0
