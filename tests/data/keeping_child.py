"""A process that forks ones to be killed while they back up, restore or tidy a store.

Reads lines of JSON `[MOMENT, WHAT, WORDS...]` (0: is not killed) and answers with the exit status and the
number of changes.
"""

import json
import mmap
import os
import shutil
import signal
import struct
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

from data.backup import back_up
from data.restoring import restore
from data.retention import tidy
from data.store import open_store

_counted = mmap.mmap(-1, 8)  # shared with the children


def die_at(moment: int) -> None:
    """Kill this process before the `moment`-th call that changes a file's name or a row."""

    def count() -> None:
        changes = struct.unpack("q", _counted[:])[0] + 1
        if changes == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        _counted[:] = struct.pack("q", changes)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            count()
            return function(*args, **named)

        return call

    for name in ("unlink", "replace", "rename"):
        setattr(Path, name, counted(getattr(Path, name)))
    os.fsync = counted(os.fsync)
    shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
    event.listen(Engine, "commit", lambda _: count())


def run(what: str, words: list[str]) -> None:
    if what == "backup":
        back_up(open_store(words[0]), Path(words[1]))
    elif what == "restore":
        restore(Path(words[0]), Path(words[1]), replace=True)
    else:
        tidy(open_store(words[0]), undo=timedelta(0), states=timedelta(0), settled=timedelta(0))


def main() -> None:
    for line in sys.stdin:
        moment, what, *words = json.loads(line)
        _counted[:] = struct.pack("q", 0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                die_at(moment)
                run(what, words)
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {struct.unpack('q', _counted[:])[0]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
