"""`worker`: run queued jobs in this process."""

import logging
from argparse import ArgumentParser, Namespace

from engine.cli.command import Command, Outcome, open_lab
from engine.jobs.worker import poll, stop_on_signals, work


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--job", type=int, metavar="JOB", help="run this one and end; otherwise wait for jobs"
    )


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments, create=arguments.job is None)
    log = logging.getLogger(__name__)
    with stop_on_signals() as stop:
        if arguments.job is None:
            log.info("waiting for jobs in %s; Ctrl-C ends", store.root)
            count = poll(store, stop)
            return Outcome(f"Ran {count} jobs.", {"jobs": count})
        job = work(store, arguments.job, stop, lambda step, steps, text: log.info("%s", text))
    text = f"Job {job.id} ({job.kind} {job.study}) is {job.status}."
    return Outcome(text, {"job": job.id, "study": job.study, "status": job.status})


COMMAND = Command("worker", "Run queued jobs, one after another.", _arguments, _run)
