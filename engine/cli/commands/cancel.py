"""`cancel`: stop a job and keep what it has."""

from argparse import ArgumentParser, Namespace

from engine.cli.command import Command, Outcome, open_lab
from engine.jobs import queue
from engine.server import Server


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=int, help="a job's number, as `jobs` lists it")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    queue.stop(store, arguments.job)
    queue.pump(store)
    job = store.catalog.job(arguments.job)
    return _outcome(job.id, job.study, job.status)


def _remote(arguments: Namespace, server: Server) -> Outcome:
    told = server.call(f"/api/jobs/{arguments.job}/stop", {})
    return _outcome(told["job"], told["study"], told["status"])


def _outcome(job: int, study: str, status: str) -> Outcome:
    if status == "stopped":
        text = f"Job {job} was queued and will not run."
    else:
        text = f"Job {job} was asked to stop; it ends within seconds and keeps its rows."
    return Outcome(text, {"job": job, "study": study, "status": status, "stop_requested": True})


COMMAND = Command("cancel", "Stop a job; the rows it has written are kept.", _arguments, _run, _remote)
