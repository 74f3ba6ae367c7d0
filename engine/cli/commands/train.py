"""`train`: train a study's seeds and arms together, in the foreground."""

from argparse import ArgumentParser, Namespace

from data.errors import LabError
from data.store import locate
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.foreground import foreground, queued, queued_told
from engine.jobs import queue
from engine.jobs.capacity import see_free_gpu
from engine.jobs.request import CHECKPOINT_SECONDS, request, require_space
from engine.jobs.splitting import split
from engine.server import Server


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
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=CHECKPOINT_SECONDS,
        metavar="S",
        help=f"how often to keep what `resume` goes on from (default: {CHECKPOINT_SECONDS:g})",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="let torch compile the training step first: half a minute that long trainings win back",
    )
    parser.add_argument(
        "--stack",
        type=int,
        default=0,
        metavar="K",
        help="how many replicas step together, which the last bits depend on (default: as many as fits)",
    )
    parser.add_argument("--queue", action="store_true", help="queue it and return; it begins in its turn")
    parser.add_argument(
        "--split",
        type=int,
        metavar="N",
        help="queue it as N jobs with a part of the seeds each; with --stack their rows are those of one job",
    )


def _run(arguments: Namespace) -> Outcome:
    wanted = request(
        arguments.study,
        _settings(arguments.set),
        arguments.arms,
        arguments.seeds,
        arguments.device,
        arguments.checkpoint_seconds,
        arguments.compile,
        arguments.stack,
    )
    parts = None if arguments.split is None else split(wanted, arguments.split)
    root = locate(arguments.store)
    gpu = None if arguments.queue or parts else see_free_gpu(root, wanted.spec)
    # With torch, which the other commands do without.
    from engine.jobs.declaration import require_same
    from engine.training.readiness import require_trainable

    require_trainable(wanted.study, wanted.arms, wanted.device, wanted.compiled, len(wanted.seeds))
    require_space(wanted, root)
    store = open_lab(arguments, create=True)
    require_same(store, wanted.study)
    if parts:
        return _several([queued(store, queue.submit_training(store, part)) for part in parts])
    if arguments.queue:
        return queued(store, queue.submit_training(store, wanted))
    name, spec = wanted.study.name, wanted.spec
    return foreground(store, lambda process: store.catalog.create_job("train", name, spec, process, gpu))


def _remote(arguments: Namespace, server: Server) -> Outcome:
    told = {
        "study": arguments.study,
        "settings": _settings(arguments.set),
        "arms": arguments.arms,
        "seeds": arguments.seeds,
        "device": arguments.device,
        "stack": arguments.stack,
        "split": arguments.split,
    }
    parts = [queued_told(job) for job in server.call("/api/jobs", told)["jobs"]]
    return parts[0] if arguments.split is None else _several(parts)


def _several(parts: list[Outcome]) -> Outcome:
    text = "\n".join([*(part.text.splitlines()[0] for part in parts), "See `python -m engine jobs`."])
    return Outcome(text, {"jobs": [part.data for part in parts]})


def _settings(pairs: list[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise LabError(
                "Setting not understood",
                f"`--set` must be KEY=VALUE; got {pair!r}.",
                "For example --set epochs=20.",
            )
        key, value = key.strip(), value.strip()
        if key in settings:
            raise LabError(
                "Setting given twice",
                f"`{key}` must be set once; got {settings[key]!r} and {value!r}.",
                "Leave out one of them.",
            )
        settings[key] = value
    return settings


COMMAND = Command("train", "Train a study; Ctrl-C stops it, `resume` goes on.", _arguments, _run, _remote)
