"""What holds for the repository as a whole."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.main import commands, parser
from engine.datasets import datasets
from engine.models import models
from engine.schedules import SCHEDULES
from engine.training.orderings import ORDERINGS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("**/*.md"))]
HOUSES = ("dashboard", "engine", "data")


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("import dashboard.app", {"torch", "hmmlearn", "sklearn"}),
        ("import dashboard.app; from dashboard.views import views; views()", {"torch"}),
        (
            "import data.store, data.traces, data.catalog, data.analyses",
            {"torch", "streamlit", "hmmlearn", "sklearn"},
        ),
        (
            "import engine.jobs.queue, engine.jobs.request, engine.jobs.fit_request",
            {"torch", "streamlit", "hmmlearn"},
        ),
        ("import engine.jobs.fit", {"torch", "streamlit"}),
        (
            "import engine.analysis.latent, engine.analysis.shuffling",
            {"torch", "streamlit", "sqlalchemy", "duckdb"},
        ),
        ("from engine.cli.main import parser; parser()", {"torch", "streamlit", "hmmlearn"}),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str, never: set[str]) -> None:
    assert loaded_by(statement) & never == set()


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_documented(name: str) -> None:
    assert re.search(rf"^\| `{name}[ `]", README, re.MULTILINE), (
        f"`{name}` is missing in the table of README.md"
    )


def documented_commands() -> list[tuple[str, str]]:
    return [
        (document.name, line.strip())
        for document in DOCUMENTS
        for line in re.findall(r"python -m engine ([^\n`]+)", document.read_text(encoding="utf-8"))
        if not line.startswith("COMMAND")
    ]


def test_there_are_documented_commands() -> None:
    assert len(documented_commands()) >= 5


@pytest.mark.parametrize(("document", "line"), documented_commands())
def test_every_documented_command_is_understood(document: str, line: str) -> None:
    parser().parse_args(line.split())


def documented_options() -> list[tuple[str, str]]:
    rows = re.findall(r"^\| `(\w+)[^|]*\|(.*)\|$", README, re.MULTILINE)
    return [
        (name, option)
        for name, text in rows
        if name in commands()
        for option in re.findall(r"--[a-z]+", text)
    ]


@pytest.mark.parametrize(("name", "option"), documented_options())
def test_every_documented_option_exists(name: str, option: str) -> None:
    below = next(action for action in parser()._actions if action.dest == "command")
    assert option in below.choices[name].format_help()  # type: ignore[index,call-overload]


@pytest.mark.parametrize("target", [*re.findall(r"`make (\w+)`", README), "run", "test", "setup"])
def test_every_documented_target_is_in_the_makefile(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "path", re.findall(r"`((?:engine|data|dashboard|benchmarks|tests)/[\w/.]*)`", README)
)
def test_every_documented_path_is_there_or_is_an_example(path: str) -> None:
    assert "/my_" in path or (ROOT / path).exists()


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def test_requirements_are_pinned_and_used() -> None:
    files = set(ROOT.glob("requirements*.txt")) - {ROOT / "requirements-dev.txt"}
    texts = [path.read_text() for path in sorted(files)]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?==[\w.]+", line) for line in lines)
    imports = {
        name.partition(".")[0]
        for house in HOUSES
        for path in (ROOT / house).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in imported(node)
    }
    modules = {
        "scikit-learn": "sklearn",
        "vl-convert-python": "vl_convert",
        "protobuf": "google",
        "google-crc32c": "google_crc32c",
    }
    names = {re.split(r"\[|==", line)[0] for line in lines}
    by_streamlit = {"authlib", "httpx"}  # its own extra, `streamlit[auth]`, is no pin
    assert {modules.get(name, name) for name in names} - imports == by_streamlit
    third_party = imports - set(sys.stdlib_module_names) - set(HOUSES)
    assert third_party - {modules.get(name, name) for name in names} - {"starlette"} == set()


def test_no_package_registry_is_named() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    hosts = re.compile("|".join(("pypi" + r"\.org", "python" + "hosted", "download" + r"\.pytorch")))
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".sh", ""} and path.is_file():
            assert not hosts.search(path.read_text(encoding="utf-8")), name


@pytest.mark.parametrize("script", ["bin/setup", "bin/browser", ".ci/run"])
def test_scripts_are_executable_and_well_formed(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o100
    shell = path.read_text().splitlines()[0].rpartition("/")[2].rpartition(" ")[2]
    subprocess.run([shell, "-n", str(path)], check=True)


@pytest.mark.parametrize("name", [*models(), *datasets(), *ORDERINGS, *SCHEDULES])
def test_the_guide_to_training_names_everything(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
