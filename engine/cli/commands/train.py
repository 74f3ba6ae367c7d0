"""`train`: train a study's seeds and arms together, in the foreground."""

import time
from argparse import ArgumentParser, Namespace

from data.errors import LabError
from data.store import locate
from engine.cli.bar import bar
from engine.cli.command import Command, Outcome, names, open_lab
from engine.jobs.progress import duration
from engine.jobs.request import request, require_space
from engine.jobs.worker import stop_on_signals, work


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study that `studies` lists")
    parser.add_argument(
        "--seeds", metavar="N|A..B", help="how many seeds, or from seed A to seed B, both included"
    )
    parser.add_argument("--arms", metavar="A,B", type=names, help="only these arms")
    parser.add_argument(
        "--device", default="auto", metavar="auto|cpu|cuda", help="where to train (default: auto)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, for example epochs=20",
    )


def _run(arguments: Namespace) -> Outcome:
    wanted = request(
        arguments.study, _settings(arguments.set), arguments.arms, arguments.seeds, arguments.device
    )
    # With torch, which the other commands do without.
    from engine.jobs.train import require_same
    from engine.training.loop import require_trainable

    require_trainable(wanted.study, wanted.arms, wanted.device)
    require_space(wanted, locate(arguments.store))
    store = open_lab(arguments, create=True)
    require_same(store, wanted.study)
    began = time.monotonic()
    with stop_on_signals() as stop, bar() as show:
        job = store.catalog.create_job("train", wanted.study.name, wanted.spec)
        job = work(store, job.id, stop, show)
    seconds = time.monotonic() - began
    result = job.result or {}
    data = {
        "job": job.id,
        "study": job.study,
        "status": job.status,
        "runs": result.get("runs", 0),
        "rows": result.get("rows", 0),
        "seconds": round(seconds, 3),
    }
    text = (
        f"Job {job.id} is {job.status}: {data['runs']:,} runs and {data['rows']:,} rows of `{job.study}` "
        f"in {duration(seconds)}, kept in {store.root}."
    )
    return Outcome(text, data, 0 if job.status == "done" else 130)


def _settings(pairs: list[str]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise LabError(
                "Setting not understood",
                f"`--set` must be KEY=VALUE; got {pair!r}.",
                "For example --set epochs=20.",
            )
        settings[key.strip()] = value.strip()
    return settings


COMMAND = Command("train", "Train a study; Ctrl-C stops it and keeps its rows.", _arguments, _run)
