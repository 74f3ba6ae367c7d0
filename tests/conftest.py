"""What all tests share: threads that do not fight over cores, types held, no pass without a browser."""

import functools
import os
from collections.abc import Callable
from typing import Any

import jaxtyping
import pytest
from hypothesis import settings

from tests.postgresql import server

# How long an example takes is a matter of the machine. Where CI is set, Hypothesis repeats the same examples.
settings.register_profile("lab", deadline=None)
settings.load_profile("lab")

# Before torch and NumPy load. Threads within an operation spin while they wait, and two processes that do so
# on few cores slow each other down more than tenfold.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# A job that a test leaves in a queue is left there; a test that wants it started says "process".
os.environ["DETOUR_JOBS_RUNNER"] = "worker"

# Types and shapes of the first calls of every function in every test are checked; of inner functions that are
# called thousands of times, checking all took half of the time of the tests of `engine.connectivity`.
_CHECKED_CALLS = 20
_test = 0
_jaxtyped = jaxtyping.jaxtyped


def _checked_at_first(function: Any = None, *, typechecker: Any) -> Any:
    decorate = _jaxtyped(typechecker=typechecker)

    def decorated(plain: Any) -> Any:
        checked: Callable[..., Any] = decorate(plain)
        if isinstance(plain, type):
            return checked
        counted = left = 0

        @functools.wraps(plain)
        def call(*words: Any, **named: Any) -> Any:
            nonlocal counted, left
            if counted != _test:
                counted, left = _test, _CHECKED_CALLS
            if not left:
                return plain(*words, **named)
            left -= 1
            return checked(*words, **named)

        return call

    return decorated if function is None else decorated(function)


jaxtyping.jaxtyped = _checked_at_first


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--catalogue",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="what the catalogue of every store is in that the tests make",
    )


def pytest_configure(config: pytest.Config) -> None:
    os.environ.pop("DETOUR_CATALOGUE", None)
    if config.getoption("--catalogue") == "postgresql" and (
        hasattr(config, "workerinput") or not config.getoption("numprocesses", None)
    ):
        os.environ["DETOUR_CATALOGUE"] = server().url  # each store makes a schema of its own


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("both_catalogues")
    if marked and metafunc.config.getoption("--catalogue") == "sqlite":
        metafunc.parametrize("catalogue", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def catalogue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the catalogue of this test is in, and have its stores made so."""
    chosen = getattr(request, "param", request.config.getoption("--catalogue"))
    if request.node.get_closest_marker("sqlite"):
        chosen = "sqlite"
    if chosen == "postgresql":
        monkeypatch.setenv("DETOUR_CATALOGUE", server().url)
    else:
        monkeypatch.delenv("DETOUR_CATALOGUE", raising=False)
    return str(chosen)


def pytest_runtest_logstart() -> None:
    global _test
    _test += 1


_REQUIRED = os.environ.get("DETOUR_REQUIRE_BROWSER") == "1"
_browser: dict[str, set[str]] = {"run": set(), "skipped": set()}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "browser" in report.keywords and (report.when == "call" or report.skipped):
        _browser["skipped" if report.skipped else "run"].add(report.nodeid)


def _complaint() -> str | None:
    if not _REQUIRED or (_browser["run"] and not _browser["skipped"]):
        return None
    if _browser["skipped"]:
        return (
            f"{len(_browser['skipped'])} browser tests were skipped, and DETOUR_REQUIRE_BROWSER forbids it."
        )
    return "No browser test ran, and DETOUR_REQUIRE_BROWSER demands them."


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if complaint := _complaint():
        terminalreporter.section("browser tests", red=True)
        terminalreporter.line(complaint, red=True)


# Of several processes the first one hears of every test; the others each know only their own.
@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (
        not hasattr(session.config, "workerinput")
        and _complaint()
        and session.exitstatus == pytest.ExitCode.OK
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
