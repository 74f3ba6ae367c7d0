"""`bench`: run the side-by-side measurements."""

import os
import pkgutil
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from data.errors import LabError
from engine.cli.command import Command, Outcome
from engine.jobs.progress import duration

_ROOT = Path(__file__).resolve().parents[3]


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="a file of benchmarks/ without .py; all when left out"
    )


def _run(arguments: Namespace) -> Outcome:
    known = sorted(
        module.name
        for module in pkgutil.iter_modules([str(_ROOT / "benchmarks")])
        if not module.name.startswith("_")
    )
    if arguments.name is not None and arguments.name not in known:
        raise LabError(
            "Unknown benchmark",
            f"There is no benchmark `{arguments.name}`.",
            f"Choose one of: {', '.join(known)}.",
        )
    results = [_measure(name) for name in ([arguments.name] if arguments.name else known)]
    lines = [f"{one['benchmark']}: {duration(float(one['seconds']))}" for one in results]
    return Outcome("\n".join(lines), {"benchmarks": results})


def _measure(name: str) -> dict[str, str | float]:
    """Run one benchmark in a fresh process, so that none warms the next; its own table goes to stderr."""
    began = time.monotonic()
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=sys.stderr.fileno(),
        check=False,
    )
    if done.returncode:
        raise LabError(
            "The benchmark failed",
            f"`{name}` ended with status {done.returncode}; its own message stands above.",
            f"Run it alone: python -m benchmarks.{name}.",
        )
    return {"benchmark": name, "seconds": round(time.monotonic() - began, 1)}


COMMAND = Command("bench", "Run one of the side-by-side measurements, or all.", _arguments, _run)
