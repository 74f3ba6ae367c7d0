"""Stores to look at, and a browser to look with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from streamlit.testing.v1 import AppTest

from tests.dashboard.connected_fixture import add_connections
from tests.dashboard.explained_fixture import add_explanation
from tests.dashboard.lab_fixture import add_latent, build
from tests.postgresql import copy_store

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "dashboard" / "app.py"
SERVER = ROOT / "dashboard" / "server.py"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
Open = Callable[..., AppTest]

expect.set_options(timeout=20_000)  # what a page takes is a matter of the machine


@pytest.fixture(autouse=True)
def _main_stays() -> Iterator[None]:
    """Undo that `AppTest` puts the page in the place of `__main__`, which a spawned process would run."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three stores, made once: a finished study with faults, one in training, one without a study."""
    root = tmp_path_factory.mktemp("labs")
    full = build(root / "full", seeds=8, points=60)
    add_latent(full)
    add_explanation(full)
    add_connections(full)
    full.close()
    build(root / "running", seeds=4, points=60, faults=False, job_status="running").close()
    from data.store import open_store

    open_store(root / "empty", create=True).close()
    return {name: root / name for name in ("full", "running", "empty")}


@pytest.fixture
def lab(made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Give the app a copy of one of the stores, or a place where there is none."""

    def use(name: str) -> Path:
        root = tmp_path / name
        if name in made:
            copy_store(made[name], root)
        monkeypatch.setenv("DETOUR_STORE", str(root))
        return root

    return use


@pytest.fixture
def view() -> Open:
    """Open a view headless, with controls set by the address."""

    def go(name: str, state: dict[str, object] | None = None, **parameters: str | list[str]) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.run()
        if name != "studies":
            # `switch_page` finds pages that are files; these are functions, known by their address.
            app._page_hash = next(
                key for key, page in app._registered_pages.items() if page["url_pathname"] == name
            )
        for key, held in (state or {}).items():
            app.session_state[key] = held
        for key, value in parameters.items():
            app.query_params[key] = value
        return app.run()

    return go


def words(app: AppTest) -> str:
    """Return all text of a page, for a look at what it says."""
    parts = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.subheader, *app.title]
    return "\n".join(str(part.value) for part in parts)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium; without any the test is skipped, or fails where DETOUR_REQUIRE_BROWSER demands one."""
    with sync_playwright() as play:
        here = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        path = here or (
            play.chromium.executable_path if Path(play.chromium.executable_path).exists() else None
        )
        if path is None:
            told = "No Chromium here; `make browser` installs one."
            (pytest.fail if os.environ.get("DETOUR_REQUIRE_BROWSER") == "1" else pytest.skip)(told)
        opened = play.chromium.launch(executable_path=path, args=list(FLAGS))
        yield opened
        opened.close()


Apps = dict[Path, tuple[subprocess.Popen[bytes], str]]


@pytest.fixture(scope="session")
def apps() -> Iterator[Apps]:
    """The servers that are up and their addresses, by store; none is left at the end."""
    started: Apps = {}
    yield started
    for root in list(started):
        _stop(started, root)


def _stop(started: Apps, root: Path) -> None:
    process, _ = started.pop(root)
    process.terminate()
    process.wait(20)


@pytest.fixture
def shut(apps: Apps) -> Callable[[Path], None]:
    """Stop the server of a store, as a restart of the machine would."""
    return lambda root: _stop(apps, root)


@pytest.fixture(scope="session")
def serve(apps: Apps, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Serve the app on a free port for a store, and return its address."""

    def start(root: Path) -> str:
        if root not in apps:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            address = f"http://localhost:{port}"
            log = (tmp_path_factory.mktemp("app") / "log").open("wb")
            command = [sys.executable, "-m", "streamlit", "run", str(SERVER), "--server.port", str(port)]
            with log:
                told = {"DETOUR_STORE": str(root), "DETOUR_JOBS_RUNNER": "process"}
                process = subprocess.Popen(
                    command, cwd=ROOT, env={**os.environ, **told}, stdout=log, stderr=log
                )
            apps[root] = (process, address)
            _wait(address, process)
        return apps[root][1]

    return start


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        assert process.poll() is None, "the app ended at once"
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise AssertionError("the app did not answer")


@pytest.fixture
def visit(browser: Browser, serve: Callable[[Path], str]) -> Iterator[Callable[..., Page]]:
    """Open a page of the app in a window of 1280 x 800; a script error in it fails the test at the end."""
    contexts, errors = [], []

    def go(root: Path, path: str, theme: str = "light") -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{serve(root)}/{path}", wait_until="domcontentloaded")
        settle(page)
        return page

    yield go
    for context in contexts:
        context.close()
    assert not errors, errors


def settle(page: Page) -> None:
    """Wait until the page has drawn what it is going to draw."""
    page.wait_for_selector("h1", timeout=40_000)
    page.wait_for_function(
        "!document.querySelector('[data-testid=stStatusWidget]')"
        " && !document.querySelector('[data-testid=stSkeleton]')"
        " && !document.querySelector('[data-stale=true]')",
        timeout=40_000,
    )
    page.wait_for_timeout(400)
