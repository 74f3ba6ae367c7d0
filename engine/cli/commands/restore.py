"""`restore`: a store from a backup, or the catalogue as it was before an upgrade."""

import contextlib
from argparse import ArgumentParser, Namespace
from pathlib import Path

from data.errors import LabError
from data.restoring import restore
from data.store import CATALOG, catalogue_file, locate
from data.upgrading import roll_back
from engine.cli.command import Command, Outcome, open_lab


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("backup", type=Path, nargs="?", metavar="BACKUP", help="folder that `backup` wrote")
    parser.add_argument("--replace", action="store_true", help="put a store that is there aside")
    parser.add_argument(
        "--catalogue",
        metavar="REVISION",
        help="instead: put back the catalogue of before an upgrade, to use the former version again",
    )
    parser.add_argument("--lose", action="store_true", help="even where rows were written since the upgrade")


def _run(arguments: Namespace) -> Outcome:
    if (arguments.backup is None) == (arguments.catalogue is None):
        raise LabError(
            "Restore what?",
            "Either a BACKUP or a --catalogue is restored.",
            "See `python -m engine restore --help`.",
        )
    root = locate(arguments.store)
    if arguments.catalogue is not None:
        if not (root / CATALOG).exists():
            raise LabError(
                "There is no such catalogue",
                f"`{root}` has no catalogue in a file; none is kept of one in a database.",
                "Restore a backup that the former version made.",
            )
        open_lab(arguments).close()  # dead jobs are marked, and their rows sealed
        return _rolled_back(root, arguments)
    if arguments.replace and catalogue_file(root) is not None:
        with contextlib.suppress(LabError):  # one that cannot be opened is one to be replaced
            open_lab(arguments).close()
    done = restore(arguments.backup, root, arguments.replace)
    manifest = done.manifest
    lines = [
        f"{done.root} is the store as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC: "
        f"{len(manifest.files):,} files, {manifest.bytes:,} bytes, each as it was written."
    ]
    if done.former is not None:
        lines.append(f"The store that was there is in {done.former}.")
    if manifest.stopped:
        lines.append(
            "Running or queued when it was backed up, and stopped here: job "
            f"{', '.join(map(str, manifest.stopped))}. A training goes on with: python -m engine resume JOB"
        )
    lines += [f"Damaged when it was backed up: {one}." for one in manifest.damaged]
    data = {
        "store": str(done.root),
        "made_at": manifest.made_at.isoformat(),
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "former": None if done.former is None else str(done.former),
        "stopped": manifest.stopped,
        "damaged": manifest.damaged,
    }
    return Outcome("\n".join(lines), data, 1 if manifest.damaged else 0)


def _rolled_back(root: Path, arguments: Namespace) -> Outcome:
    back = roll_back(root.expanduser().absolute() / CATALOG, arguments.catalogue, arguments.lose)
    lines = [
        f"The catalogue of revision {back.revision} counts again; install the version that made it before "
        "you open the store.",
        f"The one that counted until now is {back.kept}.",
    ]
    lines += [f"Only there: {count:,} rows of {table}." for table, count in back.lost.items()]
    return Outcome("\n".join(lines), {"revision": back.revision, "kept": str(back.kept), "lost": back.lost})


COMMAND = Command(
    "restore", "Make a store from a backup, or undo the upgrade of a catalogue.", _arguments, _run
)
