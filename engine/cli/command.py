"""What a command is and what it gives back."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from data.store import Store, locate, open_store
from engine.jobs import queue
from engine.server import Server


class Outcome(NamedTuple):
    """What a command has to say on stdout.

    Attributes:
        text: for a person.
        data: the same for a program, JSON-able; printed instead under ``--json``. None: nothing more.
        status: exit status.
    """

    text: str
    data: Any
    status: int = 0


@dataclass(frozen=True)
class Command:
    """One command of ``python -m engine``.

    Attributes:
        name: what one types.
        summary: one line for the list of commands.
        arguments: adds the command's own arguments to its parser.
        run: does the work; a ``LabError`` that it raises becomes one message and exit status 1.
        remote: the same where the store is a server's; None: it needs the store's folder.
    """

    name: str
    summary: str
    arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Outcome]
    remote: Callable[[Namespace, Server], Outcome] | None = None


def names(text: str) -> list[str]:
    """Read a comma-separated list of names, for example ``SS,RR no BN``."""
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise ArgumentTypeError(f"expected names, for example SS,RR; got {text!r}")
    return found


def open_lab(arguments: Namespace, create: bool = False) -> Store:
    """Open the store that the command line names, with dead jobs marked.

    Raises:
        LabError: there is no store, or it cannot be used.
    """
    store = open_store(locate(arguments.store), create=create)
    queue.reap(store)
    return store
