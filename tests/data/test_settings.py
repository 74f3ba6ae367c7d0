"""One configuration: a file, the environment over it, clear words where something in them cannot be."""

import tomllib
from pathlib import Path

import pytest

from data.errors import LabError
from data.settings import SECTIONS, Settings, settings, shown, variable
from engine.cli.commands.config import _template


def told(path: Path, text: str = "", **environ: str) -> Settings:
    path.write_text(text, encoding="utf-8")
    return settings({"DETOUR_CONFIG": str(path), **environ})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "detour.toml"


def test_nothing_said_is_safe(path: Path) -> None:
    found = told(path)
    assert found == Settings()
    assert found.server.host == "127.0.0.1"
    assert (found.sign_in.metadata_url, found.sign_in.role, found.sign_in.unverified) == ("", "viewer", False)
    assert all(value > 0 for value in vars(found.limits).values())


def test_the_environment_goes_before_the_file(path: Path) -> None:
    text = """
        store = "here"
        [server]
        port = 9000
        [sign_in]
        domains = ["lab.example", "uni.example"]
        unverified = true
        [limits]
        hours = 3
    """
    found = told(
        path, text, DETOUR_SERVER_PORT="9001", DETOUR_SIGN_IN_ADMINS="ada@lab.example, rosa@lab.example"
    )
    assert (found.store, found.server.port, found.limits.hours) == ("here", 9001, 3.0)
    assert isinstance(found.limits.hours, float)
    assert found.sign_in.domains == ("lab.example", "uni.example")
    assert found.sign_in.admins == ("ada@lab.example", "rosa@lab.example")
    assert found.sign_in.unverified
    assert found.origins == {
        "store": str(path),
        "server.port": "$DETOUR_SERVER_PORT",
        "sign_in.domains": str(path),
        "sign_in.unverified": str(path),
        "sign_in.admins": "$DETOUR_SIGN_IN_ADMINS",
        "limits.hours": str(path),
    }


@pytest.mark.parametrize(
    ("text", "environ", "why"),
    [
        ("[server]\nprot = 1", {}, "sets `server.prot`.*`server.port`"),
        ("stroe = 'x'", {}, "sets `stroe`.*`store`"),
        ("[sever]\nport = 1", {}, "sets `sever.port`"),
        ("[server]\nport = '1'", {}, "`server.port` must be a whole number; .* has '1'"),
        ("[server]\nport = true", {}, "`server.port` must be a whole number"),
        ("[server]\nport = -1", {}, "`server.port` must be 0 or more"),
        (
            "",
            {"DETOUR_SERVER_PORT": "many"},
            "`server.port` must be a number; .DETOUR_SERVER_PORT has 'many'",
        ),
        ("", {"DETOUR_LIMITS_QUEUED": "-2"}, "`limits.queued` must be 0 or more"),
        ("", {"DETOUR_LIMITS_HOURS": "nan"}, "`limits.hours` must be 0 or more"),
        ("", {"DETOUR_SIGN_IN_ROLE": "king"}, "viewer or researcher or admin"),
        ("", {"DETOUR_SIGN_IN_UNVERIFIED": "1"}, "true or false"),
        ("[sign_in]\ndomains = 'lab.example'", {}, "a list of texts"),
        ("[sign_in]\nunverified = 1", {}, "true or false"),
        ("[jobs]\nrunner = 'slurm'", {}, "process or worker or ray"),
        ("store = [", {}, "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_in_words(path: Path, text: str, environ: dict[str, str], why: str) -> None:
    with pytest.raises(LabError, match=why):
        told(path, text, **environ)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="cannot be read"):
        settings({"DETOUR_CONFIG": str(tmp_path / "none.toml")})


def test_no_secret_is_shown_nor_said(path: Path) -> None:
    found = told(
        path,
        DETOUR_SIGN_IN_CLIENT_SECRET="hush",
        DETOUR_SIGN_IN_COOKIE_SECRET="hush too",
        DETOUR_CATALOGUE="postgresql+psycopg://me:hush@db/lab",
    )
    rows = {row.name: row for row in shown(found)}
    assert "hush" not in str(rows.values())
    assert rows["sign_in.client_secret"].value == "(set)"
    assert rows["catalogue"].value == "postgresql+psycopg://me:***@db/lab"
    with pytest.raises(LabError) as error:
        told(path, "[sign_in]\nclient_secret = 5")
    assert "5" not in str(error.value).replace(str(path), "")


def test_every_setting_says_what_it_means(path: Path) -> None:
    rows = shown(told(path))
    assert len(rows) == 2 + sum(len(vars(kind())) for kind in SECTIONS.values())
    assert all(row.meaning and row.variable == variable(row.name) for row in rows)


def test_the_file_to_begin_with_says_the_defaults(path: Path) -> None:
    lines = _template().splitlines()
    told_all = [
        line.removeprefix("# ") if " = " in line and "(" not in line.partition("=")[0] else line
        for line in lines
    ]
    values = tomllib.loads("\n".join(told_all))
    assert values["server"]["port"] == 0
    assert told(path, "\n".join(told_all)).limits == Settings().limits
    assert told(path, _template()) == Settings()
