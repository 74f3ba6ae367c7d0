"""A lab that asks people to sign in, with a provider of identities that runs here."""

import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO

import httpx

from data.store import Store

ROOT = Path(__file__).resolve().parents[2]
BASE = "/detour"
CLIENT_SECRET = "the-client-secret-" + secrets.token_hex(8)
PEOPLE: dict[str, dict[str, object]] = {
    "ada": {"email": "ada@lab.example", "email_verified": True, "name": "Ada"},
    "rosa": {"email": "Rosa@Lab.example", "email_verified": True, "name": "Rosa"},
    "vera": {"email": "vera@lab.example", "email_verified": True, "name": "Vera"},
    "eve": {"email": "eve@elsewhere.example", "email_verified": True, "name": "Eve"},
    "mallory": {"email": "ada@lab.example", "email_verified": False, "name": "Mallory"},
    "nemo": {"name": "Nemo"},
}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Hosted:
    """A lab behind a sign-in: its address, its store, and people who come to it."""

    def __init__(self, store: Store, port: int, log: Path) -> None:
        self.store = store
        self.port = port
        self.log = log
        self.origin = f"http://localhost:{port}"
        self.address = self.origin + BASE
        self._visitors = ExitStack()

    def visitor(self) -> httpx.Client:
        """Return somebody with a browser of their own, who has not signed in."""
        return self._visitors.enter_context(
            httpx.Client(headers={"Accept": "text/html"}, follow_redirects=True, timeout=30)
        )

    def close(self) -> None:
        """Let every visitor's browser go."""
        self._visitors.close()

    def enter(self, who: str, path: str = "/") -> tuple[httpx.Client, httpx.Response]:
        """Sign somebody in who wanted to see a page, and return them with what they saw."""
        person = self.visitor()
        person.get(self.address + path)
        asked = person.get(f"{self.address}/sign-in/go")
        return person, person.post(str(asked.url), data={"sub": who})


@contextmanager
def hosted(store: Store, **settings: str) -> Iterator[Hosted]:
    """Run a provider and a lab that trusts it, until the block ends.

    Args:
        store: the lab's.
        settings: of the environment, over those that are set here.
    """
    port, provider = free_port(), free_port()
    log = store.logs / "served.log"
    environment = {
        **os.environ,
        "AUTHLIB_INSECURE_TRANSPORT": "1",  # of the provider, which is on this machine
        "DETOUR_STORE": str(store.root),
        "DETOUR_SERVER_BASE_PATH": BASE,
        "DETOUR_SERVER_PUBLIC_URL": f"http://localhost:{port}{BASE}",
        "DETOUR_SIGN_IN_METADATA_URL": f"http://localhost:{provider}/.well-known/openid-configuration",
        "DETOUR_SIGN_IN_CLIENT_ID": "detour",
        "DETOUR_SIGN_IN_CLIENT_SECRET": CLIENT_SECRET,
        "DETOUR_SIGN_IN_DOMAINS": "lab.example",
        "DETOUR_SIGN_IN_ADMINS": "ada@lab.example",
        **settings,
    }
    people = [word for sub, claims in PEOPLE.items() for word in ("--user-claims", _claims(sub, claims))]
    commands = (
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(provider), *people],
        [sys.executable, "-m", "engine", "serve", "--headless", "--port", str(port)],
    )
    with log.open("wb") as output, ExitStack() as running:
        for command in commands:
            running.enter_context(_running(command, environment, output))
        _wait(port, f"{BASE}/api/ready", log)
        _wait(provider, "/.well-known/openid-configuration", log)
        with closing(Hosted(store, port, store.logs / "dashboard.log")) as lab:
            yield lab


@contextmanager
def _running(command: list[str], environment: dict[str, str], output: IO[bytes]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _claims(sub: str, claims: dict[str, object]) -> str:
    return json.dumps({"sub": sub, **claims})


def _wait(port: int, path: str, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("localhost", port, timeout=2)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.2)
        finally:
            connection.close()
    raise AssertionError(f"Nothing answers at {path}: {log.read_text()}")
