"""How a lab is set up: one file, the environment over it, defaults that are safe under both."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from data.errors import LabError

FILE = "detour.toml"
"""Read where one stands, unless $DETOUR_CONFIG names another."""


def _set(default: Any, meaning: str, secret: bool = False, least: float | None = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "secret": secret, "least": least})


@dataclass(frozen=True)
class Server:
    """Where the app listens and how people reach it."""

    host: str = _set("127.0.0.1", "address to listen on; another than this machine's own needs sign-in")
    port: int = _set(0, "port to listen on; 0 for $PORT, else the first free one from 8501", least=0)
    base_path: str = _set("", "path under which a reverse proxy serves the app, for example detour")
    public_url: str = _set("", "how browsers reach it, for example https://lab.example/detour")
    upload_mb: int = _set(2048, "largest file that the browser may upload, in MiB", least=1)


@dataclass(frozen=True)
class SignIn:
    """Who may come in: an OpenID Connect provider and whom the lab trusts of its people."""

    metadata_url: str = _set("", "the provider's .well-known/openid-configuration; empty: no sign-in")
    client_id: str = _set("", "the lab's id at the provider")
    client_secret: str = _set("", "the lab's secret at the provider", secret=True)
    cookie_secret: str = _set("", "signs cookies; empty: one is made and kept in the store", secret=True)
    domains: tuple[str, ...] = _set((), "everybody with an address of these domains may sign in")
    people: tuple[str, ...] = _set((), "addresses of others who may")
    admins: tuple[str, ...] = _set((), "addresses of those who are always administrators")
    unverified: bool = _set(
        False, "trust addresses of a provider that does not say whether it verified them, as Microsoft's"
    )
    role: Literal["viewer", "researcher", "admin"] = _set(
        "viewer", "role of those who come for the first time: viewer, researcher or admin"
    )


@dataclass(frozen=True)
class Jobs:
    """Where jobs run, and how many at once."""

    runner: Literal["process", "worker", "ray"] = _set(
        "process", "process: beside the app; worker: only where `worker` runs; ray: on a Ray cluster"
    )
    at_once: int = _set(
        0, "jobs that may run at once on this machine; 0: half its cores, at least 2", least=0
    )
    gpus: int = _set(
        -1, "GPUs of this machine that jobs may have, each for itself; -1: all that it has", least=-1
    )
    ray_address: str = _set(
        "", "of the Ray cluster, for example ray://head:10001; empty: the one of this machine"
    )


@dataclass(frozen=True)
class Limits:
    """What a person who signed in may take; 0: no limit. The command line on this machine has none."""

    running: int = _set(2, "jobs of one person that run at once", least=0)
    queued: int = _set(20, "jobs of one person that wait or run", least=0)
    seeds: int = _set(1000, "runs of one training: arms times seeds", least=0)
    hours: float = _set(48.0, "hours after which a job is stopped; it can be resumed", least=0)
    storage_gb: float = _set(200.0, "GiB of one person's traces, checkpoints and uploads", least=0)


@dataclass(frozen=True)
class Keeping:
    """How long things stay."""

    undo_days: int = _set(30, "days in which a deletion can be undone; then `tidy` clears it", least=0)
    state_days: int = _set(90, "days for which a finished training keeps what it could go on from", least=0)


@dataclass(frozen=True)
class Settings:
    """All of it.

    Attributes:
        origins: where each setting that is not its default came from, by its name, as "server.port".
    """

    store: str = _set("lab", "folder of the store")
    catalogue: str = _set("", "database URL of the catalogue; empty: SQLite in the store", secret=True)
    server: Server = field(default_factory=Server)
    sign_in: SignIn = field(default_factory=SignIn)
    jobs: Jobs = field(default_factory=Jobs)
    limits: Limits = field(default_factory=Limits)
    keeping: Keeping = field(default_factory=Keeping)
    origins: Mapping[str, str] = field(default_factory=dict)


SECTIONS: dict[str, type[Any]] = {
    "server": Server,
    "sign_in": SignIn,
    "jobs": Jobs,
    "limits": Limits,
    "keeping": Keeping,
}


_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class Shown:
    """One setting, as it may be shown: what is secret says only whether it is set."""

    name: str
    value: str
    origin: str
    variable: str
    meaning: str


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the configuration: $DETOUR_CONFIG or `detour.toml` here, and DETOUR_SECTION_NAME over it.

    Raises:
        LabError: the file cannot be read, a name in it is unknown, or a value cannot be.
    """
    environ = os.environ if environ is None else environ
    path = Path(environ.get("DETOUR_CONFIG") or FILE)
    told = _of_file(path, required="DETOUR_CONFIG" in environ)
    origins = dict.fromkeys(told, str(path))
    for name, one in _all().items():
        if (text := environ.get(variable(name))) is not None:
            told[name] = _parsed(name, text, _hint(name), f"${variable(name)}")
            origins[name] = f"${variable(name)}"
        _require(name, one, told.get(name), origins.get(name, ""))
    parts = {
        section: kind(**{key.partition(".")[2]: value for key, value in told.items() if _of(key) == section})
        for section, kind in SECTIONS.items()
    }
    own = {key: value for key, value in told.items() if not _of(key)}
    return Settings(**own, **parts, origins=origins)


def shown(found: Settings) -> list[Shown]:
    """Return every setting with its value, where it came from and what it means; no secret among them."""
    rows = []
    for name, one in _all().items():
        section, key = _of(name), name.rpartition(".")[2]
        value = getattr(getattr(found, section) if section else found, key)
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        if one.metadata["secret"] and text:
            text = _masked(text)
        rows.append(
            Shown(name, text, found.origins.get(name, "default"), variable(name), one.metadata["meaning"])
        )
    return rows


def variable(name: str) -> str:
    """Return the environment's variable of a setting: `server.port` is DETOUR_SERVER_PORT."""
    return "DETOUR_" + name.replace(".", "_").upper()


def _all() -> dict[str, "Field[Any]"]:
    """Return every setting by its name."""
    own = {one.name: one for one in fields(Settings) if one.metadata}
    for section, kind in SECTIONS.items():
        own |= {f"{section}.{one.name}": one for one in fields(kind)}
    return own


def _of(name: str) -> str:
    return name.rpartition(".")[0]


def _hint(name: str) -> Any:
    kind: type[Any] = SECTIONS[_of(name)] if _of(name) else Settings
    return get_type_hints(kind)[name.rpartition(".")[2]]


def _of_file(path: Path, required: bool) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LabError(
            "The configuration cannot be read", f"`{path}`: {error}.", "Mend the file, or name another one."
        ) from error
    told: dict[str, Any] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            told |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            told[name] = value
    known = _all()
    for name, value in told.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise LabError(
                "Unknown setting",
                f"`{path}` sets `{name}`.",
                f"Did you mean `{near[0]}`?" if near else "See `python -m engine config`.",
            )
        told[name] = _taken(name, value, _hint(name), str(path))
    return told


def _parsed(name: str, text: str, hint: Any, where: str) -> Any:
    """Read a setting from the environment's text."""
    if get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise _wrong(name, text, "true or false", where)
        return text.lower() == "true"
    if hint in (int, float):
        try:
            return hint(text)
        except ValueError as error:
            raise _wrong(name, text, "a number", where) from error
    return _taken(name, text, hint, where)


def _taken(name: str, value: Any, hint: Any, where: str) -> Any:
    """Return a value of the right kind."""
    if get_origin(hint) is tuple:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise _wrong(name, value, "a list of texts", where)
        return tuple(value)
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise _wrong(name, value, " or ".join(get_args(hint)), where)
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
        raise _wrong(name, value, _KINDS[hint], where)
    return value


def _require(name: str, one: "Field[Any]", value: Any, where: str) -> None:
    least = one.metadata["least"]
    if value is not None and least is not None and not value >= least:
        raise _wrong(name, value, f"{least:g} or more", where)


def _wrong(name: str, value: object, wanted: str, where: str) -> LabError:
    secret = _all()[name].metadata["secret"]
    told = "something else" if secret else f"{value!r}"
    return LabError(
        "A setting cannot be that", f"`{name}` must be {wanted}; {where} has {told}.", "Mend it there."
    )


def _masked(text: str) -> str:
    """Return of a secret that it is set, and of a database's address all but the password."""
    try:
        return make_url(text).render_as_string(hide_password=True) if "://" in text else "(set)"
    except ArgumentError:
        return "(set)"
