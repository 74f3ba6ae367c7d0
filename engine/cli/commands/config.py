"""`config`: how this lab is set up, and from where each setting came."""

from argparse import ArgumentParser, Namespace

from data.settings import settings, shown
from engine.cli.command import Command, Outcome
from engine.cli.table import table


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--toml", action="store_true", help="print a file to begin with, every setting in it")


def _run(arguments: Namespace) -> Outcome:
    rows = shown(settings())
    data = {
        row.name: {"value": row.value, "from": row.origin, "variable": row.variable, "meaning": row.meaning}
        for row in rows
    }
    if arguments.toml:
        return Outcome(_template(), data)
    lines = [(row.name, row.value, row.origin, row.meaning) for row in rows]
    return Outcome(table(("setting", "value", "from", "meaning"), lines), data)


def _template() -> str:
    """Return a file in which every setting stands as a comment with its default."""
    lines, section = ["# detour.toml: what is not set has the value that stands here."], ""
    for row in shown(settings({"DETOUR_CONFIG": "/dev/null"})):
        name, (part, _, key) = row.name, row.name.rpartition(".")
        if part != section:
            section = part
            lines += ["", f"[{section}]"]
        lines += [f"# {row.meaning} (${row.variable})", f"# {key or name} = {_default(name)}"]
    return "\n".join(lines)


def _default(name: str) -> str:
    part, _, key = name.rpartition(".")
    found = settings({"DETOUR_CONFIG": "/dev/null"})
    value = getattr(getattr(found, part) if part else found, key)
    if isinstance(value, tuple):
        return str(list(value))
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


COMMAND = Command("config", "Show how this lab is set up and from where.", _arguments, _run)
