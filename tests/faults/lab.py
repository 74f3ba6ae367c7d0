"""A lab as people run it: the app and a worker under a service manager, each a process of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

from data.errors import LabError
from data.rows import JobRow
from data.store import open_store
from engine.jobs.queue import submit_training
from engine.jobs.request import Request, request
from engine.server import Server
from tests.faults.disk import Disk
from tests.faults.people import Reader

ROOT = Path(__file__).parents[2]
_CLOCK = Path(__file__).with_name("clock")
_MARK = "DETOUR_FAULTS_LAB"


def training() -> Request:
    """Return the training of every round: some seconds, with states kept several times a second."""
    return request("wu-regression", {"epochs": "60"}, None, "1", "cpu", 0.2)


class Service:
    """One process that is started again whenever it ends, until it is held."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self._words, self._environment, self.log = words, environment, log
        self._held = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._manage, daemon=True).start()

    def _manage(self) -> None:
        while True:
            with self._lock:
                if not self._held.is_set() and (self._process is None or self._process.poll() is not None):
                    with self.log.open("ab") as log:
                        self._process = subprocess.Popen(
                            [sys.executable, "-m", "engine", *self._words],
                            cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                            stderr=subprocess.STDOUT, start_new_session=True,
                        )  # fmt: skip
            time.sleep(0.5)

    @property
    def process(self) -> psutil.Process | None:
        """The process; None while there is none."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return None
            return psutil.Process(self._process.pid)

    def hold(self) -> None:
        """Start it no more."""
        with self._lock:
            self._held.set()

    def go_on(self) -> None:
        """Start it, and again whenever it ends."""
        self._held.clear()

    def stop(self) -> None:
        """Stop it as a service manager does: SIGTERM, and SIGKILL where that takes too long."""
        self.hold()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


class Lab:
    """A store on a disk of its own, an app and a worker that use it, and somebody who reads.

    Args:
        folder: for all of it.
        disk: on which the store is.
        database: address of a database for the catalogue; "" for a file.
        clock: whether its processes have a clock that can be set.
        seed: of what the reader looks at.
    """

    def __init__(
        self, folder: Path, disk: Disk, database: str = "", clock: bool = False, seed: int = 0
    ) -> None:
        self.folder, self.disk, self.root = folder, disk, disk.root / "lab"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        plain = {name: text for name, text in os.environ.items() if not name.startswith("DETOUR_")}
        self.environment = {
            **plain, _MARK: str(folder), "DETOUR_JOBS_RUNNER": "worker", "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1", "DETOUR_STORE": str(self.root),
        }  # fmt: skip
        os.environ["DETOUR_JOBS_RUNNER"] = "worker"
        os.environ.pop("DETOUR_CATALOGUE", None)
        if database:
            os.environ["DETOUR_CATALOGUE"] = self.environment["DETOUR_CATALOGUE"] = database
        self.clock = folder / "clock" if clock else None
        if self.clock is not None:
            self.set_clock(0)
            library = folder / "clock.so"
            command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, _CLOCK / "clock.c", "-ldl"]
            subprocess.run(command, check=True)
            self.environment |= {
                "LD_PRELOAD": str(library),
                "DETOUR_FAULTS_CLOCK": str(self.clock),
                "PYTHONPATH": str(_CLOCK),
            }
        with closing(open_store(self.root, create=True)) as store:
            self.tokens = {
                scope: store.catalog.add_token(scope, scope)[1] for scope in ("log", "run", "read")
            }
        words = ["serve", "--headless", "--port", str(self.port)]
        self.app = Service(words, self.environment, folder / "serve.log")
        self.worker = Service(["worker", "--at-once", "2"], self.environment, folder / "worker.log")
        self.person = Server(self.address, self.tokens["run"])
        self.reader = Reader(self.address, self.tokens["read"], seed)

    def set_clock(self, seconds: int) -> None:
        """Set the clock of the lab's processes so far from the true one; they see it within a second."""
        assert self.clock is not None
        aside = self.clock.with_suffix(".tmp")
        aside.write_text(str(seconds))
        aside.replace(self.clock)

    def ready(self, patience: float = 120.0) -> bool:
        """Wait until the lab says that it is ready and the worker runs; False when it took too long."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.address}/api/ready", timeout=30) as answer:
                    if answer.status == 200 and self.worker.process is not None:
                        return True
            except OSError:
                pass
            time.sleep(0.1)
        return False

    def train(self) -> int:
        """Queue the training, and return its job."""
        with closing(open_store(self.root)) as store:
            return submit_training(store, training())

    def job(self, id: int) -> JobRow:
        """Return a job as the catalogue has it."""
        with closing(open_store(self.root)) as store:
            return store.catalog.job(id)

    def engine(self, *words: str) -> tuple[int, Any]:
        """Run a command on the lab; return its status, and what it printed as JSON or said in words."""
        done = subprocess.run(
            [sys.executable, "-m", "engine", *words, "--json"],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr

    def processes(self) -> list[psutil.Process]:
        """Return all processes of the lab: services, the app below one of them, jobs."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get(_MARK) == str(self.folder)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def jobs(self) -> list[psutil.Process]:
        """Return the processes of jobs."""
        return [each for each in self.processes() if "--job" in _words(each)]

    def kill(self, processes: list[psutil.Process]) -> None:
        """End them at once, as `kill -9` does, and wait until they are gone."""
        for process in processes:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(processes, 10)

    def hold(self) -> None:
        """Have the service manager start nothing."""
        self.app.hold()
        self.worker.hold()

    def go_on(self) -> None:
        """Have the service manager start everything."""
        self.app.go_on()
        self.worker.go_on()

    def resume(self, id: int) -> LabError | None:
        """Have a training go on as a person does from afar; return what they are told instead."""
        try:
            self.person.call(f"/api/jobs/{id}/resume", {})
        except LabError as error:
            return error
        return None

    def close(self) -> None:
        """Stop everything and remove the disk."""
        self.reader.stop()
        self.app.stop()
        self.worker.stop()
        self.kill(self.processes())
        self.disk.remove()

    @staticmethod
    def has_clock() -> bool:
        """Whether a clock can be set here: there is a compiler for what shifts it."""
        return sys.platform == "linux" and shutil.which("cc") is not None


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []
