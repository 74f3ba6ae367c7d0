"""Sizes by kind, study, job and person are those of the files."""

import subprocess
from pathlib import Path

import numpy as np

from data import analyses, checkpoints, networks
from data.arrays import to_bytes
from data.people import Person
from data.storage import by, total, usage
from tests.data.conftest import Lab


def size_of(folder: Path) -> int:
    """Return the bytes of a folder's files, as `du` says."""
    words = ["find", str(folder), "-type", "f", "-exec", "du", "--apparent-size", "-b", "{}", "+"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return sum(int(line.split()[0]) for line in said.splitlines())


def test_sizes_are_those_of_du(lab: Lab) -> None:
    ada = Lab(lab.store.acting_as(Person("ada@x.org", "researcher")))
    job = ada.job("first")
    lab.study("first@epochs=2")
    runs = lab.runs(job, {"SS": 2}, "first@epochs=2")
    lab.write(job, runs, {"loss": np.zeros((2, 500))})
    weights = {"w": np.ones((2, 300))}
    checkpoints.save(lab.store, job, "weights", 5, runs, weights)
    checkpoints.save(lab.store, job, "weights", 6, runs, weights)  # the same file
    (lab.store.logs / f"{job}.log").write_text("x" * 77)
    other = lab.job("second")
    writer = lab.write(other, lab.runs(other, {"A": 1}, "second"), {"loss": np.zeros((1, 50))}, live=True)
    checkpoints.save(lab.store, other, "weights", 5, [3, 4], weights)  # and again
    analyses.save(lab.store, "second", "latent", {}, {}, {"m": np.zeros(40)})
    networks.keep(lab.store, to_bytes({"w": np.ones(3, np.float32)}), "net.safetensors")
    (lab.store.uploads / "token" / "files").mkdir(parents=True)
    (lab.store.uploads / "token" / "files" / "a.csv").write_text("x" * 1234)
    (lab.store.logs / "dashboard.log").write_text("x" * 5)
    (lab.store.segments / "stray.tmp").write_text("x" * 9)
    used = usage(lab.store)
    root = lab.store.root
    assert total(used) == size_of(root)
    folders = ["traces", "checkpoints", "analyses", "networks", "uploads", "logs", "journals"]
    kinds = by(used, lambda one: one.kind)
    assert {name: kinds[name] for name in folders} == {name: size_of(root / name) for name in folders}
    assert kinds["catalogue"] == total(used) - sum(size_of(root / name) for name in folders)
    (sealed,) = lab.catalog.segments([job])
    mine = sealed.bytes + size_of(root / "checkpoints") + 77
    assert by(used, lambda one: one.study) == {
        "": total(used) - mine - size_of(root / "journals") - size_of(root / "analyses"),
        "first@epochs=2": mine,
        "second": size_of(root / "journals") + size_of(root / "analyses"),
    }
    people = by(used, lambda one: one.person)
    assert people["ada@x.org"] == mine
    assert people[lab.catalog.person.name] == size_of(root / "journals")
    assert by(used, lambda one: str(one.job))[str(job)] == mine
    assert list(kinds.values()) == sorted(kinds.values(), reverse=True)
    writer.close()
