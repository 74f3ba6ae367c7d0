"""`worker`: start queued jobs on this machine, or run a single one in this process."""

import logging
from argparse import ArgumentParser, Namespace

from data.errors import LabError
from engine.cli.command import Command, Outcome, open_lab
from engine.jobs.worker import poll, stop_on_signals, work


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--job", type=int, metavar="JOB", help="run this one and end; otherwise wait for jobs"
    )
    parser.add_argument(
        "--at-once",
        type=int,
        default=0,
        metavar="N",
        help="jobs that may run at once on this machine (default: `jobs.at_once`)",
    )


def _run(arguments: Namespace) -> Outcome:
    if arguments.at_once < 0:
        raise LabError(
            "Number out of range",
            f"`--at-once` must be at least 1; got {arguments.at_once}.",
            "Leave it away for as many as are configured.",
        )
    store = open_lab(arguments, create=arguments.job is None)
    log = logging.getLogger(__name__)
    with stop_on_signals() as stop:
        if arguments.job is None:
            log.info("waiting for jobs in %s; Ctrl-C ends", store.root)
            count = poll(store, stop, arguments.at_once)
            return Outcome(f"Started {count} jobs.", {"jobs": count})
        job = work(store, arguments.job, stop, lambda step, steps, text: log.info("%s", text))
    text = f"Job {job.id} ({job.kind} {job.study}) is {job.status}."
    return Outcome(text, {"job": job.id, "study": job.study, "status": job.status})


COMMAND = Command("worker", "Run queued jobs, each when its turn comes.", _arguments, _run)
