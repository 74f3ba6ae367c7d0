"""Opening a store: where it is looked for, and what is said when it cannot be opened."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from data.errors import LabError
from data.store import locate, open_store
from data.traces import TraceWriter


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_error_joins_its_parts() -> None:
    error = LabError("Title", "Message.", "Remedy.")
    assert (error.title, error.message, error.remedy) == ("Title", "Message.", "Remedy.")
    assert str(error) == "Title. Message. Remedy."


def test_locate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETOUR_STORE", raising=False)
    assert locate() == Path("lab")
    monkeypatch.setenv("DETOUR_STORE", "/somewhere")
    assert locate() == Path("/somewhere")
    assert locate("here") == Path("here")


@pytest.mark.sqlite
def test_a_new_store_opens_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "100% mine; 'a' ?&#" / "lab"
    store = open_store(odd, create=True)
    store.catalog.save_study("s", "S", "c", {}, "engine")
    store.close()
    monkeypatch.chdir("/")
    again = open_store(odd)
    assert [row.name for row in again.catalog.studies()] == ["s"]
    assert again.journals.is_dir()
    assert again.segments.is_dir()
    assert again.checkpoints.is_dir()
    assert again.analyses.is_dir()
    assert again.logs.is_dir()
    again.close()
    assert sorted(path.name for path in odd.iterdir()) == [
        "analyses",
        "catalog.sqlite",
        "checkpoints",
        "journals",
        "logs",
        "networks",
        "traces",
        "uploads",
    ]


@pytest.mark.sqlite
def test_a_relative_store_survives_a_change_of_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("lab", create=True)
    monkeypatch.chdir("/")
    store.catalog.save_study("s", "S", "c", {}, "engine")
    assert (tmp_path / "lab" / "catalog.sqlite").exists()
    store.close()


def test_root_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "lab"
    path.write_text("mine")
    for create in (False, True):
        with pytest.raises(LabError, match="not a folder"):
            open_store(path, create=create)
    with pytest.raises(LabError, match="cannot be made"):
        open_store(path / "deeper", create=True)
    assert path.read_text() == "mine"


def test_missing_store(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no store here"):
        open_store(tmp_path / "lab")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sqlite
def test_a_store_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    open_store(root, create=True).close()
    with sqlite3.connect(root / "catalog.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = contents(root)
    for create in (False, True):
        with pytest.raises(LabError, match="newer version") as raised:
            open_store(root, create=create)
        assert "9999" in raised.value.message
    assert contents(root) == before


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough for one" * 50, b"SQLite format 3\0"]
)
def test_a_corrupt_catalogue_is_not_touched(tmp_path: Path, content: bytes) -> None:
    root = tmp_path / "lab"
    open_store(root, create=True).close()
    (root / "catalog.sqlite").write_bytes(content)
    before = contents(root)
    with pytest.raises(LabError):
        open_store(root, create=True)
    assert contents(root) == before


@pytest.mark.sqlite
def test_a_catalogue_torn_in_the_middle(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    store = open_store(root, create=True)
    for number in range(200):
        store.catalog.save_study(f"s{number}", "S" * 500, "c", {}, "engine")
    store.close()
    whole = (root / "catalog.sqlite").read_bytes()
    (root / "catalog.sqlite").write_bytes(whole[:8192] + b"\x5a" * (len(whole) - 8192))
    with pytest.raises(LabError, match=r"damaged|refused"):
        open_store(root).catalog.studies()


@pytest.mark.sqlite
def test_a_foreign_database_is_not_touched(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    root.mkdir()
    with sqlite3.connect(root / "catalog.sqlite") as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    before = contents(root)
    with pytest.raises(LabError, match="not a catalogue of Detour"):
        open_store(root, create=True)
    assert contents(root) == before


AS_NOBODY = """
import os, sys
from data.errors import LabError
from data.store import open_store
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
try:
    open_store(sys.argv[1], create=sys.argv[2] == "create")
except LabError as error:
    print(error)
else:
    print("opened")
"""


@pytest.mark.sqlite
def test_read_only_folders(tmp_path: Path) -> None:
    root = tmp_path / "there" / "lab"
    open_store(root, create=True).close()
    bare = tmp_path / "bare"
    bare.mkdir()
    before = contents(root)
    shared = Path(tempfile.gettempdir())
    open_to = [tmp_path, *(path for path in tmp_path.parents if shared in path.parents)]
    modes = {path: path.stat().st_mode for path in open_to}
    try:
        for path in open_to:
            path.chmod(0o755)
        for path in (root, bare):
            path.chmod(0o555)
        (root / "catalog.sqlite").chmod(0o444)

        def said(path: Path, how: str) -> str:
            command = [sys.executable, "-c", AS_NOBODY, str(path), how]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

        assert "cannot be written" in said(root, "open")
        assert "cannot be written" in said(root, "create")
        assert "cannot be made" in said(bare / "lab", "create")
    finally:
        for path in (root, bare):
            path.chmod(0o755)
        for path, mode in modes.items():
            path.chmod(mode)
    assert contents(root) == before
    assert list(bare.iterdir()) == []


def test_threads_make_stores_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        roots = [tmp_path / str(number) for number in range(8)]
        for store in pool.map(lambda root: open_store(root, create=True), roots):
            assert store.catalog.studies() == []
            store.close()


@pytest.mark.sqlite
def test_many_creators_make_one_store(tmp_path: Path) -> None:
    root = tmp_path / "lab"
    command = [
        sys.executable,
        "-c",
        f"from data.store import open_store; open_store({str(root)!r}, create=True)",
    ]
    creators = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(4)]
    for creator in creators:
        _, errors = creator.communicate(timeout=60)
        assert creator.returncode == 0, errors
    names = sorted(path.name for path in root.iterdir())
    assert [name for name in names if not name.startswith("catalog.sqlite-")] == [
        "analyses",
        "catalog.sqlite",
        "checkpoints",
        "journals",
        "logs",
        "networks",
        "traces",
        "uploads",
    ]


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lab", create=True)
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(10):
                store.catalog.save_study(f"s{number}", "S", "c", {}, "engine")
                store.catalog.studies()
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(store.catalog.studies()) == 8
    store.close()


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_a_forked_child_opens_its_own_connections(tmp_path: Path) -> None:
    store = open_store(tmp_path / "lab", create=True)
    store.catalog.save_study("s", "S", "c", {}, "engine")
    job = store.catalog.create_job("train", "s", {}).id
    (run,) = store.catalog.start_runs(job, "s", [("A", 0, {})], 1, "cpu")
    with TraceWriter(store, job, ["loss"]) as writer:
        writer.write([run], [0], [0.0], [0.0], {"loss": [1.0]})
    assert store.traces.count("s") == 1
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.catalog.save_study("child", "S", "c", {}, "engine")
            status = 0 if store.traces.count("s") == 1 else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert {row.name for row in store.catalog.studies()} == {"s", "child"}
    store.close()
