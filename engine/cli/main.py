"""Reads the command line, runs one command, and turns what went wrong into words and an exit status."""

import argparse
import json
import logging
import os
import sys
import unicodedata
from collections.abc import Sequence

from data.errors import LabError
from data.plugins import discover
from data.settings import settings
from engine.cli.command import Command
from engine.server import Server, is_address
from engine.version import code_version

DONE, MENDABLE, USAGE, DEFECT, STOPPED = 0, 1, 2, 70, 130

_EPILOG = """\
The store is the folder `lab` where you stand, or $DETOUR_STORE, or --store.
Exit status: 0 done; 1 something you can mend, with one message on stderr and nothing changed; 2 wrong usage;
70 a defect of this program, with a traceback; 130 stopped before its end.
"""


def commands() -> dict[str, Command]:
    """Return every command by name; a command is one file of ``engine.cli.commands``."""
    return {command.name: command for command in discover("engine.cli.commands", "COMMAND", Command).values()}


def parser() -> argparse.ArgumentParser:
    """Return the parser; `--store` and `--json` may stand before or after the command."""
    top = argparse.ArgumentParser(
        prog="python -m engine",
        description="Detour, a lab for training dynamics.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=code_version())
    _common(top, None, False)
    below = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in commands().values():
        one = below.add_parser(
            command.name, help=command.summary, description=command.summary, allow_abbrev=False
        )
        # SUPPRESS, so that an option given before the command is not overwritten by its default here.
        _common(one, argparse.SUPPRESS, argparse.SUPPRESS)
        command.arguments(one)
    return top


def _common(to: argparse.ArgumentParser, store: str | None, as_json: bool | str) -> None:
    to.add_argument(
        "--store",
        metavar="DIR|URL",
        default=store,
        help="the lab's folder, or the address of a hosted lab (default: lab)",
    )
    to.add_argument("--json", action="store_true", default=as_json, help="print one JSON value on stdout")


def main(words: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    logging.getLogger("engine").setLevel(logging.INFO)
    arguments = parser().parse_args(words)
    try:
        command = commands()[arguments.command]
        where = arguments.store or settings().store
        if command.remote is not None and is_address(where):
            outcome = command.remote(arguments, Server(where))
        else:
            outcome = command.run(arguments)
        if arguments.json and outcome.data is not None:
            print(json.dumps(outcome.data, allow_nan=False))
        elif outcome.text and not arguments.json:
            print(_harmless(outcome.text))
        sys.stdout.flush()
    except LabError as error:
        print(_harmless(f"{error.title}.\n{error.message}\n{error.remedy}"), file=sys.stderr)
        return MENDABLE
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # Whoever read the output went away (`| head`): that is no error, but the interpreter's last flush is.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return outcome.status


def _harmless(text: str) -> str:
    """Return text that cannot steer a terminal: names in it may be from files that others made."""
    steering = {char for char in set(text) - {"\n", "\t"} if unicodedata.category(char) in ("Cc", "Cf", "Cs")}
    return text.translate(dict.fromkeys(map(ord, steering), "\ufffd"))
