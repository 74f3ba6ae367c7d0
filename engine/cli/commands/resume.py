"""`resume`: go on with a training that was stopped, killed or failed, in the foreground or in its turn."""

from argparse import ArgumentParser, Namespace

from engine.cli.command import Command, Outcome, open_lab
from engine.cli.foreground import foreground, queued, queued_told
from engine.jobs import queue
from engine.jobs.capacity import see_free_gpu
from engine.server import Server


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=int, help="a job's number, as `jobs` lists it")
    parser.add_argument("--queue", action="store_true", help="queue it and return; it goes on in its turn")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    spec = queue.require_ended(store, arguments.job).spec
    gpu = None if arguments.queue else see_free_gpu(store.root, spec, arguments.job)
    from engine.jobs.train import require_resumable  # with torch, which the other commands do without

    require_resumable(store, arguments.job)
    if arguments.queue:
        queue.resume(store, arguments.job)
        return queued(store, arguments.job)
    return foreground(store, lambda process: queue.requeue(store, arguments.job, process, gpu))


def _remote(arguments: Namespace, server: Server) -> Outcome:
    return queued_told(server.call(f"/api/jobs/{arguments.job}/resume", {}))


COMMAND = Command("resume", "Go on with a stopped training, to the same bits.", _arguments, _run, _remote)
