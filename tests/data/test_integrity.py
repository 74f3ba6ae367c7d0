"""Every kind of damage is found by its file, a sound store is not slandered, and orphans go when asked."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from data import analyses, checkpoints, networks
from data.arrays import to_bytes
from data.integrity import SETTLED_S, check, clear
from tests.data.conftest import Lab


@pytest.fixture
def sound(lab: Lab) -> Lab:
    """A store with one of everything."""
    job = lab.job()
    runs = lab.runs(job, {"SS": 2})
    lab.write(job, runs, {"loss": np.ones((2, 5))})
    checkpoints.save(lab.store, job, "weights", 5, runs, {"w": np.ones((2, 3))})
    analyses.save(lab.store, "study", "latent", {}, {}, {"means": np.ones(3)})
    networks.keep(lab.store, to_bytes({"w": np.ones(3, np.float32)}), "net.safetensors")
    live = lab.job()
    lab.write(live, lab.runs(live, {"RR": 1}), {"loss": np.ones((1, 5))}, live=True).flush()
    return lab


def only(folder: Path, pattern: str = "*") -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_a_sound_store_has_no_finding(sound: Lab) -> None:
    assert check(sound.store) == []


@pytest.mark.parametrize("folder", ["traces", "checkpoints", "analyses", "networks"])
@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_file_that_is_missing_or_changed_is_found(sound: Lab, folder: str, damage: str) -> None:
    path = only(sound.store.root / folder)
    if damage == "missing":
        path.unlink()
        expected = [] if folder == "networks" else [f"{folder}/{path.name}"]  # an upload is named by nobody
    else:
        content = bytearray(path.read_bytes())
        content[8 if folder == "analyses" else len(content) // 2] ^= 255
        path.write_bytes(content)
        expected = [f"{folder}/{path.name}"]
    found = check(sound.store)
    assert [(one.kind, one.path) for one in found] == [("damaged", path) for path in expected]
    assert all(one.remedy for one in found)


def test_a_torn_journal_is_sound_and_a_strange_one_is_not(sound: Lab) -> None:
    path = only(sound.store.journals, "*/*.arrows")
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    assert check(sound.store) == []
    path.write_bytes(b"\xff\xff\xff\xff\x10\x00\x00\x00" + b"strange" * 100)
    assert [one.path for one in check(sound.store)] == [f"journals/{path.parent.name}/{path.name}"]


@pytest.mark.sqlite
def test_rows_of_unknown_runs_and_broken_links_are_found(sound: Lab) -> None:
    with sqlite3.connect(sound.store.catalog.path) as connection:
        connection.execute("DELETE FROM runs WHERE seed = 1 AND arm = 'SS'")
    connection.close()
    found = check(sound.store)
    assert [one.path.partition("/")[0] for one in found] == ["traces"]
    assert "runs that are not in the catalogue" in found[0].what
    with sqlite3.connect(sound.store.catalog.path) as connection:
        connection.execute("UPDATE runs SET study = 'nobody'")
    connection.close()
    assert any("names a row of studies" in one.what for one in check(sound.store))


def test_deleted_runs_are_known(sound: Lab) -> None:
    sound.catalog.delete_runs([run.id for run in sound.catalog.runs()])
    assert check(sound.store) == []


def test_orphans_are_found_when_settled_and_cleared_when_asked(sound: Lab) -> None:
    paths = [sound.store.root / name for name in ("traces/9-0-x.duckdb", "checkpoints/1-x.tmp")]
    for path in paths:
        path.write_bytes(b"left")
    assert check(sound.store) == []  # somebody may be at it
    for path in paths:
        os.utime(path, (0, path.stat().st_mtime - SETTLED_S - 1))
    found = check(sound.store)
    assert [(one.kind, one.path) for one in found] == [
        ("orphan", "traces/9-0-x.duckdb"), ("orphan", "checkpoints/1-x.tmp"),
    ]  # fmt: skip
    assert clear(sound.store, found) == 8
    assert not any(path.exists() for path in paths)
    assert check(sound.store) == []
