"""One round: a fault at a random moment while a training, a run elsewhere and a reader are at work."""

import random
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import psutil

from data.errors import LabError
from tests.faults.disk import Disk
from tests.faults.injecting import FAULTS, Fault
from tests.faults.knowing import Known, Logs, logged_wrong, rows, state_wrong
from tests.faults.lab import Lab, training
from tests.faults.people import UNCLEAR, Logging
from tests.postgresql import server

_ENDS_S = 240.0
"""How long a training may take that was interrupted, on a machine that has other work."""
_TRUE_S = 40.0
"""How long a job may be said to run whose process is gone: reaped by the worker every few seconds."""


class Outcome(NamedTuple):
    """How a lab met a fault.

    Attributes:
        acknowledged: rows that the run elsewhere was told are safe.
        lost: how many of them are not there.
        ready_s: seconds until the lab was ready again.
        resumed: how often a person had to resume the training.
        findings: what was wrong.
    """

    acknowledged: int
    lost: int
    ready_s: float
    resumed: int
    findings: list[str]


class Rounds:
    """Rounds in one lab, after a training that nothing disturbs.

    Args:
        lab: just made.
        chance: chooses moments and faults.
    """

    def __init__(self, lab: Lab, chance: random.Random) -> None:
        self._lab, self._chance, self._known, self._logs = lab, chance, Known(), Logs(lab)
        self._number = 0
        assert lab.ready(), "the app did not start"
        began = time.monotonic()
        job = lab.train()
        resumed, found = self._until_done(job)
        assert not resumed, found
        assert not found, found
        self._usual_s = time.monotonic() - began
        self._known.learn(lab, job)
        assert state_wrong(lab, [job]) == []

    def play(self, fault: Fault) -> Outcome:
        """Play one round."""
        lab, known, name = self._lab, self._known, training().study.name
        self._number += 1
        study = f"logged-{self._number}"
        lab.reader.studies = known.studies
        logging = Logging(lab.address, lab.tokens["log"], study)
        job = lab.train()
        time.sleep(self._chance.uniform(0, self._usual_s))
        _say(f"round {self._number}: {fault.name}; job {job} is {lab.job(job).status}")
        struck = time.monotonic()
        findings = fault.strike(lab, known, self._chance)
        if fault.where != "clock" and lab.app.process is not None:
            struck = time.monotonic()
        if not lab.ready():
            findings.append("the lab is not ready")
        ready_s = time.monotonic() - struck
        resumed, found = self._until_done(job)
        findings += found
        logging.finish()
        findings += [f"the run elsewhere was told: {one}" for one in logging.told if one.title in UNCLEAR]
        if not logging.ended:
            findings.append(f"the run elsewhere could not end: {logging.told[-1:]}")
        acknowledged, lost = logging.acknowledged + 1, 0
        try:
            found = logged_wrong(
                rows(lab, study), study, logging.logged + 1 if logging.ended else acknowledged
            )
            steps = set(rows(lab, study)["step"].to_pylist())
            lost = len(set(range(acknowledged)) - steps)
            known.logged[study] = logging.logged + 1
            findings += found + known.training_wrong(lab, job) + known.shown(lab, [study, name])
        except LabError as error:
            findings.append(f"rows cannot be read: {error}")
            lost = acknowledged
        jobs = [row["job"] for row in lab.person.call("/api/jobs")["jobs"] if row["study"] == study]
        findings += self._settled([job, *jobs])
        findings += lab.reader.unclear + self._logs.tracebacks()
        lab.reader.unclear = []
        _say(f"  {fault.name}: {acknowledged} rows, {lost} lost; ready in {ready_s:.1f} s, resumed {resumed}")
        for finding in findings:
            _say(f"  FOUND {finding}")
        return Outcome(acknowledged, lost, ready_s, resumed, findings)

    def _until_done(self, job: int) -> tuple[int, list[str]]:
        """Wait for a training, and resume it where it stopped; return how often, and what is wrong."""
        lab, resumed, found = self._lab, 0, list[str]()
        until, gone_since = time.monotonic() + _ENDS_S, 0.0
        while time.monotonic() < until:
            row = lab.job(job)
            if row.status == "done":
                return resumed, found
            if row.status in ("stopped", "failed"):
                if row.error is None or row.error["title"] in UNCLEAR:
                    found.append(f"job {job} is {row.status} and says {row.error}")
                told = lab.resume(job)
                resumed += told is None
                if told is not None and told.title in UNCLEAR:
                    found.append(f"who resumed job {job} was told: {told}")
            gone = row.status == "running" and not psutil.pid_exists(row.pid or 0)
            gone_since = (gone_since or time.monotonic()) if gone else 0.0
            if gone and time.monotonic() - gone_since > _TRUE_S:
                return resumed, [*found, f"job {job} is said to run, and its process {row.pid} is gone"]
            time.sleep(0.3)
        return resumed, [*found, f"job {job} is {lab.job(job).status} after {_ENDS_S:.0f} s"]

    def _settled(self, jobs: list[int]) -> list[str]:
        """Return what is wrong once the worker had the time to clear up."""
        until = time.monotonic() + 20
        while (found := state_wrong(self._lab, jobs)) and time.monotonic() < until:
            time.sleep(2)
        return found


def play(names: list[str], where: str, seed: int) -> list[tuple[str, Outcome | None]]:
    """Play rounds in one lab, and in another after each that found something; None: cannot be done here."""
    chance, planned, played = random.Random(seed), list(names), list[tuple[str, Outcome | None]]()
    while planned:
        folder = Path(tempfile.mkdtemp(prefix="detour-faults-"))
        disk = Disk(folder)
        lab = Lab(folder, disk, server().url if where == "database" else "", where == "clock", seed)
        try:
            rounds = Rounds(lab, chance)
            while planned:
                name = planned.pop(0)
                try:
                    outcome = rounds.play(FAULTS[name]) if possible(name, disk) else None
                except (LabError, AssertionError, OSError):
                    outcome = Outcome(0, 0, 0.0, 0, [traceback.format_exc()])
                    _say(f"  FOUND {outcome.findings[0]}")
                played.append((name, outcome))
                if outcome is not None and outcome.findings:
                    break
        finally:
            lab.close()
    return played


def possible(name: str, disk: Disk) -> bool:
    """Whether this user can do it to that disk."""
    return {"full disk": disk.kind != "folder", "disk that only reads": disk.may_be_locked}.get(name, True)


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
