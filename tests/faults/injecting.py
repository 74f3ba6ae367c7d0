"""What goes wrong: each fault does its damage, and then what an administrator would do about it."""

import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil

from data.journal import read_journal
from data.store import open_store
from tests.faults.knowing import Known
from tests.faults.lab import Lab
from tests.postgresql import server


class Fault(NamedTuple):
    """A kind of fault.

    Attributes:
        name: for people.
        where: in which kind of lab it is tried: "file", "database" or "clock".
        strike: does it; returns what is wrong with how the lab met it.
    """

    name: str
    where: str
    strike: Callable[[Lab, Known, random.Random], list[str]]


def _pause(chance: random.Random) -> None:
    time.sleep(chance.uniform(1, 5))


def kill_app(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill the app, the service that started it, or both."""
    service = lab.app.process
    found = [] if service is None else [service, *service.children()]
    lab.kill(chance.choice([found, found[:1], found[1:]]))
    _, left = psutil.wait_procs(found, 30)
    return [f"process {one.pid} of the app goes on alone" for one in left]


def kill_worker(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill the worker, alone or with its jobs."""
    lab.worker.hold()  # until all are gone, as a service manager does
    service = lab.worker.process
    lab.kill(([] if service is None else [service]) + (lab.jobs() if chance.random() < 0.5 else []))
    lab.worker.go_on()
    return []


def kill_training(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill what trains."""
    lab.kill(lab.jobs())
    return []


def kill_all(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill everything at once."""
    lab.hold()
    lab.kill(lab.processes())
    lab.go_on()
    return []


def fill_disk(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Leave next to nothing of the disk free for a while."""
    lab.disk.fill(chance.choice([0, 4096, 65_536, 300_000]))
    _pause(chance)
    lab.disk.free()
    return []


def break_disk(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Refuse every write for a while, also to files that are open; then everything is stopped and mended."""
    if lab.disk.kind == "ext4":
        lab.disk.break_down()
        _pause(chance)
    lab.hold()
    lab.app.stop()
    lab.worker.stop()
    lab.kill(lab.processes())
    found = []
    if lab.disk.kind == "ext4":
        lab.disk.mend()
    lab.disk.lock(True)
    for words in (["serve", "--headless", "--port", str(lab.port)], ["worker"], ["jobs"]):
        status, said = lab.engine(*words)
        if status != 1 or "Traceback" in str(said):
            found.append(f"`{words[0]}` on a disk that only reads: status {status}, {str(said)[-300:]}")
    lab.disk.lock(False)
    lab.go_on()
    return found


def set_clock(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Set the clock forward or back by hours, and once more a little later."""
    for _ in range(2):
        lab.set_clock(chance.randrange(-12, 13) * 3600 + chance.randrange(3600))
        _pause(chance)
    return []


def tear_journals(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Kill everything, and leave at the end of every journal what a torn write may leave."""
    lab.hold()
    lab.kill(lab.processes())
    tear(lab, chance)
    lab.go_on()
    return []


def tear(lab: Lab, chance: random.Random) -> None:
    """Put at the end of every journal what a torn write may leave."""
    for path in (lab.root / "journals").glob("*/*.arrows"):
        content = torn(path, chance)
        with path.open("ab") as journal:
            journal.write(content)


def torn(path: Path, chance: random.Random) -> bytes:
    """Return the beginning of a batch, zeros, as a file system leaves them, or anything."""
    how = chance.choice(["half", "zeros", "garbage"])
    batches = read_journal(path).to_batches()
    if how == "half" and batches:
        whole = batches[-1].serialize().to_pybytes()
        return bytes(whole[: chance.randrange(1, len(whole))])
    size = chance.randrange(1, 4096)
    return bytes(size) if how == "zeros" else chance.randbytes(size)


def flip_byte(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Change one byte of a sealed file; `check` must name it, other studies stay, a backup mends it."""
    saved = lab.folder / "saved"
    status, said = lab.engine("backup", str(saved))
    found = [] if status == 0 else [f"backup: status {status}, {said}"]
    with closing(open_store(lab.root)) as store:
        done = [job for job in store.catalog.jobs() if job.status == "done"]
        sealed = store.catalog.segments([job.id for job in done])
        # A job may have ended since, and merged its files.
        chosen = chance.choice([one for one in sealed if (saved / one.path).exists()])
        study = next(job.study for job in done if job.id == chosen.job)
        others = sorted({job.study for job in done} - {study})
    path = lab.root / chosen.path
    with path.open("r+b") as file:
        place = chance.randrange(chosen.bytes)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ (1 << chance.randrange(8))]))
    status, said = lab.engine("check")
    named = [] if not isinstance(said, dict) else [one["path"] for one in said["findings"]]
    if (status, named) != (1, [chosen.path]):
        found.append(f"check after a flipped byte in {chosen.path}: status {status}, {said}")
    found += known.shown(lab, others[-3:]) + known.shown(lab, [study], damaged=True)
    shutil.copyfile(saved / chosen.path, path)
    return found


def crash_database(lab: Lab, known: Known, chance: random.Random) -> list[str]:
    """Let the database crash and come back a little later; what trains may be killed at the same time."""
    server().stop(signal.SIGQUIT)
    if chance.random() < 0.3:
        lab.kill(lab.jobs())
    time.sleep(chance.uniform(0, 4))
    server().start()
    return []


FAULTS = {
    one.name: one
    for one in (
        Fault("kill -9 of the app", "file", kill_app),
        Fault("kill -9 of the worker", "file", kill_worker),
        Fault("kill -9 of the training", "file", kill_training),
        Fault("kill -9 of everything", "file", kill_all),
        Fault("full disk", "file", fill_disk),
        Fault("disk that only reads", "file", break_disk),
        Fault("torn journal", "file", tear_journals),
        Fault("flipped byte in a sealed file", "file", flip_byte),
        Fault("clock set by hours", "clock", set_clock),
        Fault("crash of the database", "database", crash_database),
    )
}
