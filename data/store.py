"""A lab's folder: where it is, how it is made and opened, what lies where."""

import json
import os
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from data import migrations
from data.backend import Backend
from data.catalog import Catalog
from data.database_sqlite import SQLite
from data.durable import sync_file, sync_folder
from data.errors import LabError
from data.people import Person, local_person
from data.settings import settings
from data.traces import Traces
from data.upgrading import upgrade

CATALOG = "catalog.sqlite"
"""The catalogue, where it is a file."""
POINTER = "catalog.json"
"""Names the schema of the catalogue, where it is in a database."""
MARK = "backup.lock"
"""Marks a folder as a backup's, whose catalogue is a file whatever the configuration says."""
FOLDERS = ("journals", "traces", "checkpoints", "analyses", "networks", "uploads", "logs")


@dataclass(frozen=True)
class Store:
    """An open store. Any number of processes may hold the same one; threads may share this object."""

    root: Path
    catalog: Catalog
    traces: Traces

    @property
    def journals(self) -> Path:
        """The live tails of jobs that are writing: journals/<job>/<part>.arrows."""
        return self.root / "journals"

    @property
    def segments(self) -> Path:
        """The sealed trace files: traces/<job>-<part>-<hash>.duckdb."""
        return self.root / "traces"

    @property
    def checkpoints(self) -> Path:
        """The tensors of trainings: checkpoints/<sha256 of the file>.safetensors."""
        return self.root / "checkpoints"

    @property
    def analyses(self) -> Path:
        """The arrays of stored results: analyses/<key>.safetensors."""
        return self.root / "analyses"

    @property
    def networks(self) -> Path:
        """Uploaded networks: networks/<sha256 of the file>.safetensors."""
        return self.root / "networks"

    @property
    def uploads(self) -> Path:
        """Files on their way in: uploads/<token>, gone once they are imported."""
        return self.root / "uploads"

    @property
    def logs(self) -> Path:
        """What jobs said: logs/<job>.log."""
        return self.root / "logs"

    def acting_as(self, person: Person) -> "Store":
        """Return the same store in the hands of a person, with their rights; both share connections."""
        catalog = self.catalog.acting_as(person)
        return Store(self.root, catalog, Traces(self.root, catalog))

    @property
    def machine(self) -> "Store":
        """The same store for the lab's own work: jobs, their processes, what is kept for everybody."""
        return self.acting_as(local_person())

    def close(self) -> None:
        """Close the catalogue's connections; the store can be opened again."""
        self.catalog.close()


def locate(explicit: str | None = None) -> Path:
    """Return where the store is: what was asked for, else what the configuration says: see `settings`."""
    where = explicit or settings().store
    if "://" in where:
        raise LabError(
            "The store is not a folder",
            f"A store is a folder on this machine; got an address of the kind `{where.split('://')[0]}://`.",
            "Name a folder with --store or DETOUR_STORE.",
        )
    return Path(where)


def catalogue_file(root: Path) -> Path | None:
    """Return the file in a folder that is a store's catalogue or names it; None where there is no store."""
    return next((root / name for name in (CATALOG, POINTER) if (root / name).exists()), None)


def open_store(root: str | Path, create: bool = False) -> Store:
    """Open the store at `root`; with `create`, make it first where there is none.

    A new store has its catalogue where the configuration says, and stays with it.

    Raises:
        LabError: `root` is a file, does not exist, holds no catalogue, cannot be written, or was made by a
            newer version or for another catalogue; the disk is full; the catalogue is damaged or cannot be
            reached. Nothing is changed then.
    """
    root = Path(root).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise LabError(
            "The store is not a folder",
            f"`{root}` is a file.",
            "Name a folder with --store or DETOUR_STORE.",
        )
    path = catalogue_file(root)
    if path is None:
        if not create:
            raise LabError(
                "There is no store here",
                f"`{root}` holds no catalogue (`{CATALOG}` or `{POINTER}`).",
                "Train a study to make one, or name another folder with --store or DETOUR_STORE.",
            )
        path = _create(root)
    _require_writable(root, path)
    backend = _backend(path)
    revision = backend.revision()
    if revision not in migrations.KNOWN:
        raise LabError(
            "The store was made by a newer version",
            f"`{path}` has revision `{revision}`; this version reads up to `{migrations.HEAD}`.",
            "Update Detour and open the store again.",
        )
    catalog = Catalog(backend)
    if revision != migrations.HEAD:
        upgrade(catalog)
    try:
        for folder in FOLDERS:
            (root / folder).mkdir(exist_ok=True)
    except OSError as error:
        raise _unusable(root, error) from error
    return Store(root, catalog, Traces(root, catalog))


def _backend(path: Path) -> Backend:
    """Return the database of the catalogue that a file in a store's folder is or names.

    Raises:
        LabError: the configuration names another kind.
    """
    url = settings().catalogue
    if path.name == CATALOG:
        if url and not path.with_name(MARK).exists():
            raise LabError(
                "The store was made without a database",
                f"Its catalogue is the file `{path}`; `catalogue` in the configuration names a database.",
                "Unset it for this store; to move it there, back it up and restore it into a new folder.",
            )
        return SQLite(path)
    if not url:
        raise LabError(
            "The store's catalogue is in a database",
            f"`{path}` names its schema; `catalogue` in the configuration names no database.",
            "Set it, or $DETOUR_CATALOGUE, to the database with which the store was made.",
        )
    from data.database_postgresql import PostgreSQL, named_schema  # an extra, as its driver is

    return PostgreSQL(url, named_schema(path), path)


def _require_writable(root: Path, catalogue: Path) -> None:
    # Even a reader of a WAL catalogue writes its shared-memory index, so a read-only folder cannot be opened.
    for path in (root, catalogue) if catalogue.name == CATALOG else (root,):
        if not os.access(path, os.R_OK | os.W_OK):
            raise LabError(
                "The store cannot be written",
                f"There is no write permission on `{path}`.",
                "Give yourself write permission on it, or copy the store elsewhere and open the copy.",
            )


def _create(root: Path) -> Path:
    """Make the catalogue aside and link it into place: one of several creators wins, none sees half of it."""
    url = settings().catalogue
    made: list[Path] = []
    try:
        for folder in reversed([root, *root.parents]):
            if not folder.exists():
                folder.mkdir(exist_ok=True)
                made.append(folder)
        handle, name = tempfile.mkstemp(prefix=".catalog-", suffix=".tmp", dir=root)
        os.close(handle)
        aside = Path(name)
        try:
            return _in_database(aside, root / POINTER, url) if url else _in_file(aside, root / CATALOG)
        finally:
            _forget(aside)
    except (OSError, LabError) as error:
        for folder in reversed(made):
            if not any(folder.iterdir()):
                folder.rmdir()
        raise (error if isinstance(error, LabError) else _unusable(root, error)) from error


def _in_file(aside: Path, path: Path) -> Path:
    with closing(Catalog(aside)) as catalog:
        catalog.migrate()
    _put_in_place(aside, path)
    return path


def _in_database(aside: Path, path: Path, url: str) -> Path:
    from data.database_postgresql import PostgreSQL, named_schema, new_schema

    home = PostgreSQL(url, new_schema(), aside)
    home.make()
    with ExitStack() as unfinished:
        unfinished.callback(home.drop)
        with closing(Catalog(home)) as catalog:
            catalog.migrate()
        aside.write_text(json.dumps({"schema": home.schema}), encoding="utf-8")
        aside.chmod(0o644)
        _put_in_place(aside, path)
        unfinished.pop_all()
    if named_schema(path) != home.schema:  # another process made the same store a moment earlier
        home.drop()
    return path


def _put_in_place(aside: Path, path: Path) -> None:
    sync_file(aside)
    if not path.exists():
        try:
            os.link(aside, path)
        except FileExistsError:
            return  # another process made the same store a moment earlier: use that one
        except OSError:
            os.rename(aside, path)  # a file system without hard links
    sync_folder(path.parent)


def _forget(aside: Path) -> None:
    for path in (aside, Path(f"{aside}-wal"), Path(f"{aside}-shm")):
        path.unlink(missing_ok=True)


def _unusable(root: Path, error: OSError) -> LabError:
    return LabError(
        "The store cannot be made here",
        f"`{root}`: {error.strerror or error}.",
        "Free some space or get write permission there, or name another folder with --store or DETOUR_STORE.",
    )
