"""A store of every earlier version is brought up with its former catalogue kept, and goes back to it."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from data import migrations
from data.catalog import Catalog
from data.database_sqlite import revision_of
from data.errors import LabError
from data.store import FOLDERS, Store, open_store
from data.upgrading import former_path, roll_back

pytestmark = pytest.mark.sqlite

EARLIER = sorted(migrations.KNOWN - {migrations.HEAD})
ROWS = """
INSERT INTO studies (name, title, claim, config, source, created_at)
    VALUES ('s', 'S', 'c', '{"lr": NaN}', 'engine', '2026-01-02 03:04:05.000006');
INSERT INTO jobs (id, kind, study, spec, status, step, steps, message, stop_requested, created_at)
    VALUES (7, 'train', 's', '{}', 'done', 1, 1, '', 0, '2026-01-02 03:04:05.000006');
INSERT INTO runs
    (id, study, job, arm, seed, status, step, steps, device, config, finals, started_at, tags, note)
    VALUES (9, 's', 7, 'A', 0, 'done', 1, 1, 'cpu', '{}', '{}', '2026-01-02 03:04:05.000006', '[]', '');
"""


def older(root: Path, revision: str) -> bytes:
    """Make a store as that revision's migrations leave it, with rows in it; return its catalogue."""
    root.mkdir()
    path = root / "catalog.sqlite"
    catalog = Catalog(path)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with catalog.writing("machine") as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for statement in ROWS.split(";")[:-1]:
            connection.execute(text(statement.replace(":0", r"\:0")))
    catalog.close()
    for folder in FOLDERS:
        (root / folder).mkdir()
    return path.read_bytes()


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


@pytest.mark.parametrize("revision", EARLIER)
def test_the_former_catalogue_is_kept_and_can_be_put_back(tmp_path: Path, revision: str) -> None:
    root = tmp_path / "lab"
    older(root, revision)
    path = root / "catalog.sqlite"
    before = dump(path)
    store = open_store(root)
    assert [run.id for run in store.catalog.runs()] == [9]
    assert revision_of(path) == migrations.HEAD
    store.close()
    kept = former_path(path, revision)
    assert dump(kept) == before
    back = roll_back(path)
    assert (back.revision, back.lost) == (revision, {})
    assert dump(path) == before
    assert revision_of(back.kept) == migrations.HEAD
    assert not kept.exists()
    open_store(root).close()  # forward again
    assert dump(kept) == before


@pytest.fixture
def upgraded(tmp_path: Path) -> Store:
    older(tmp_path / "lab", EARLIER[-1])
    return open_store(tmp_path / "lab")


def test_rows_written_since_are_not_lost_without_a_word(upgraded: Store) -> None:
    path = upgraded.catalog.path
    upgraded.catalog.note_run(9, "mine")
    upgraded.catalog.save_study("new", "N", "c", {}, "engine")
    with pytest.raises(LabError, match="in use"):
        roll_back(path)
    upgraded.close()
    now = path.read_bytes()
    with pytest.raises(LabError, match="written since") as raised:
        roll_back(path)
    assert "1 of runs" in raised.value.message
    assert "1 of studies" in raised.value.message
    assert path.read_bytes() == now
    back = roll_back(path, EARLIER[-1], lose=True)
    assert back.lost["runs"] == back.lost["studies"] == 1
    kept = Catalog(back.kept)
    assert [run.note for run in kept.runs()] == ["mine"]
    kept.close()
    assert revision_of(path) == EARLIER[-1]


def test_a_former_catalogue_whose_files_are_gone_is_not_put_back(upgraded: Store) -> None:
    path = upgraded.catalog.path
    upgraded.close()
    connection = sqlite3.connect(former_path(path, EARLIER[-1]))
    with connection:
        connection.execute(
            "INSERT INTO segments VALUES (1, 7, 0, 'traces/gone.duckdb', 1, 0, 0, 1, 'x', '2026-01-01')"
        )
    connection.close()
    for lose in (False, True):
        with pytest.raises(LabError, match="gone"):
            roll_back(path, lose=lose)
    with pytest.raises(LabError, match="no such catalogue"):
        roll_back(path, "0000")
    assert revision_of(path) == migrations.HEAD


def test_an_upgrade_that_cannot_keep_the_former_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    before = older(root, EARLIER[0])
    former_path(root / "catalog.sqlite", EARLIER[0]).mkdir()  # in the way
    with pytest.raises(LabError):
        open_store(root)
    assert revision_of(root / "catalog.sqlite") == EARLIER[0]
    assert (root / "catalog.sqlite").read_bytes()[24:] == before[24:]
    assert not list(root.glob(".*"))
