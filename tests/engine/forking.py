"""Commands in processes of their own, forked from one that has torch loaded: no start costs seconds again."""

import atexit
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.cli.main import DEFECT, main

ROOT = Path(__file__).resolve().parents[2]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.engine.warm"])
_PRINTED = Path(tempfile.mkdtemp(prefix="detour-tests-"))
atexit.register(shutil.rmtree, _PRINTED, ignore_errors=True)
_numbers = itertools.count()


def _run(words: Sequence[str], environment: Mapping[str, str], out: str, err: str) -> None:
    """Be what `python -m engine` is, with stdout and stderr at the ends of two files."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    try:
        status = main(words)
    except Exception:  # noqa: BLE001  # as `engine.__main__`
        traceback.print_exc()
        status = DEFECT
    sys.exit(status)


class Forked:
    """A command at work; what `subprocess.Popen` has of these names.

    Args:
        words: the command line, without `python -m engine`.
        environment: variables to set.
        log: where both streams go; else they are what `communicate` returns.
    """

    def __init__(
        self, words: Sequence[object], environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        number = next(_numbers)
        self._out, self._err = (log or _PRINTED / f"{number}.{name}" for name in ("out", "err"))
        told = ([*map(str, words)], {**os.environ, **environment}, str(self._out), str(self._err))
        self._process = _SERVER.Process(target=_run, args=told)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float = 60) -> int:
        self._process.join(timeout)
        assert self.returncode is not None, f"The command did not end in {timeout} s."
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end, and return what was printed."""
        self.wait(timeout)
        out, err = (path.read_text() if path.exists() else "" for path in (self._out, self._err))
        return out, err
