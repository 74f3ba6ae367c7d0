"""`serve`: the dashboard, and with `--demo` something to look at."""

import http.client
import json
import logging
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import webbrowser
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from data.errors import LabError
from data.settings import settings
from data.store import Store
from engine.cli.command import Command, Outcome, open_lab
from engine.jobs import queue
from engine.jobs.worker import Stop, stop_on_signals
from engine.studies import study

_ROOT = Path(__file__).resolve().parents[3]
_DEMO = "digits-shuffling"
_FIRST_PORT, _LAST_PORT = 8501, 8599
_START_S = 90.0
_GRACE_S = 20.0
_TEND_S = 5.0

log = logging.getLogger(__name__)


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (default: `server.host`, else 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, help="port (default: `server.port`, else $PORT, else the first free from 8501)"
    )
    parser.add_argument("--demo", action="store_true", help=f"train {_DEMO} first where it is not there yet")
    parser.add_argument("--headless", action="store_true", help="do not open a browser")


def _run(arguments: Namespace) -> Outcome:
    server = settings().server
    bound = arguments.host or server.host
    _require_guarded(bound)
    port = _port(bound, arguments.port if arguments.port is not None else server.port or None)
    store = open_lab(arguments, create=True)
    host = f"[{bound}]" if ":" in bound else bound
    base = server.base_path.strip("/")
    address = server.public_url or f"http://{host}:{port}/{base}".rstrip("/")
    with stop_on_signals() as stop, _dashboard(store, bound, port, base) as dashboard:
        threading.Thread(target=_tend, args=(store, stop), daemon=True).start()
        if _ready(dashboard, bound, port, base, stop):
            data = {"address": address, "store": str(store.root)}
            print(
                json.dumps(data) if arguments.json else f"The dashboard is at {address} (Ctrl-C ends it)",
                flush=True,
            )
            if not arguments.headless and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
                webbrowser.open(address)
            if arguments.demo:
                _demo(store, stop, address)
        while not stop and dashboard.poll() is None:
            time.sleep(0.2)
    if not stop:
        raise LabError(
            "The dashboard ended",
            f"Its status was {dashboard.returncode}.",
            f"{store.logs / 'dashboard.log'} says why.",
        )
    return Outcome("", None)


def _tend(store: Store, stop: Stop) -> None:
    """Start queued jobs in their turn, also while nobody looks at a page."""
    while not stop:
        try:
            queue.tend(store)
        except LabError as error:  # a full disk or a database that restarts: the next time may go well
            log.warning("%s", error)
        time.sleep(_TEND_S)


def _require_guarded(host: str) -> None:
    """Refuse early and in words what the server would refuse too."""
    try:
        private = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        private = False
    if not private and not settings().sign_in.metadata_url:
        raise LabError(
            "Not without a sign-in",
            f"On `{host}` whoever reaches this machine could train, change and delete: there is no sign-in.",
            "Set one up (docs/running-a-lab.md), or leave --host away and reach the lab through a tunnel: "
            "ssh -L 8501:127.0.0.1:8501 THIS-MACHINE",
        )


def _cookie_secret(store: Store) -> str:
    """Return what signs this lab's cookies: as configured, else made once and kept in the store."""
    if told := settings().sign_in.cookie_secret:
        return told
    path = store.root / ".cookie-secret"
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=store.root, prefix=".cookie-", delete=False) as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):  # another server was first
            os.link(file.name, path)
        Path(file.name).unlink()
    return path.read_text(encoding="ascii")


def _port(host: str, asked: int | None) -> int:
    if asked is None and os.environ.get("PORT"):
        try:
            asked = int(os.environ["PORT"])
        except ValueError as error:
            raise LabError(
                "Not a port",
                f"`PORT` must be a number; got {os.environ['PORT']!r}.",
                "Set PORT, or give --port.",
            ) from error
    if asked is not None and not 0 < asked < 65536:
        raise LabError("Not a port", f"`--port` must be 1 to 65535; got {asked}.", "Give another one.")
    candidates = range(_FIRST_PORT, _LAST_PORT + 1) if asked is None else (asked,)
    for port in candidates:
        if _free(host, port):
            return port
    raise LabError(
        "The port is taken",
        f"Something listens on {host}, port {asked or f'{_FIRST_PORT} to {_LAST_PORT}'}.",
        "Stop it, or give another --port.",
    )


def _free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@contextmanager
def _child(
    words: Sequence[str], store: Store, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module beside this process; it ends with the block, and gets signals from here only."""
    output = None if log is None else log.open("ab")
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=_ROOT,
        env={**os.environ, "DETOUR_STORE": str(store.root.absolute()), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if output is None else output,
        stderr=None if output is None else subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if output is not None:
            output.close()


@contextmanager
def _dashboard(store: Store, host: str, port: int, base: str) -> Iterator[subprocess.Popen[bytes]]:
    options = {
        "server.address": host,
        "server.port": port,
        "server.baseUrlPath": base,
        "server.maxUploadSize": settings().server.upload_mb,
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    words = ["streamlit", "run", "dashboard/server.py"]
    words += [f"--{name}={value}" for name, value in options.items()]
    environment = {"STREAMLIT_SERVER_COOKIE_SECRET": _cookie_secret(store)}  # the command's words can be seen
    environment["DETOUR_PARENT"] = str(os.getpid())
    with _child(words, store, store.logs / "dashboard.log", environment) as process:
        yield process


def _ready(dashboard: subprocess.Popen[bytes], host: str, port: int, base: str, stop: Stop) -> bool:
    """Wait until the dashboard answers; False when it ended, took too long, or this process is to stop."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and dashboard.poll() is None and not stop:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        try:
            connection.request("GET", f"/{base}/api/ready" if base else "/api/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)  # not listening yet
        finally:
            connection.close()
    return False


def _demo(store: Store, stop: Stop, address: str) -> None:
    """Train the demo study, fit its latent states and explain its orders, where the store lacks them."""
    jobs = [job for job in store.catalog.jobs(_DEMO) if job.status in ("queued", "running")]
    if jobs:
        _say(f"Job {jobs[0].id} is already working on {_DEMO}.")
        return
    definition = study(_DEMO)
    runs = store.catalog.runs(_DEMO, archived=True)
    finished = {(run.arm, run.seed) for run in runs if run.status in ("done", "diverged")}
    wanted = {(arm.name, seed) for arm in definition.arms for seed in range(definition.seeds)}
    if not wanted <= finished:
        _say(f"Training {_DEMO}, {len(wanted)} runs at once; the dashboard shows them live.")
        if not _follow(["engine", "train", _DEMO], store, stop):
            return
    for command in ("fit", "explain"):
        if not _follow(["engine", command, _DEMO], store, stop):
            return
    _say(
        f"\nLook at\n  {address}/shuffling  does the order of the data matter once batch norm is in?\n"
        f"  {address}/latent_states  which phases do the runs go through?\n"
        f"  {address}/traces  every seed, every metric\n"
    )


def _follow(words: Sequence[str], store: Store, stop: Stop) -> bool:
    """Run one command of this program to its end; True when it was done."""
    with _child(words, store) as process:
        while not stop and process.poll() is None:
            time.sleep(0.1)
    if process.returncode and not stop:
        _say(f"That did not end well (status {process.returncode}); the dashboard shows what there is.")
    return process.returncode == 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


COMMAND = Command("serve", "Serve the dashboard on this machine.", _arguments, _run)
