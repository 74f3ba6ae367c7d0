"""`resume`: go on with a training that was stopped, killed or failed, in the foreground."""

from argparse import ArgumentParser, Namespace

from engine.cli.command import Command, Outcome, open_lab
from engine.cli.foreground import foreground
from engine.jobs import queue


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=int, help="a job's number, as `jobs` lists it")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    queue.require_ended(store, arguments.job)
    from engine.jobs.train import require_resumable  # with torch, which the other commands do without

    require_resumable(store, arguments.job)
    return foreground(store, lambda process: queue.requeue(store, arguments.job, process))


COMMAND = Command("resume", "Go on with a stopped training, to the same bits.", _arguments, _run)
