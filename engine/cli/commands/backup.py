"""`backup`: a copy of the store as of one moment, while jobs go on."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from data.backup import back_up
from engine.cli.command import Command, Outcome, open_lab


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("out", type=Path, metavar="OUT", help="a new folder, or that of an earlier backup")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    made = back_up(store, arguments.out)
    manifest = made.manifest
    lines = [
        f"{made.root} has the store as of {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC: "
        f"{len(manifest.files):,} files, {manifest.bytes:,} bytes; {made.copied_bytes:,} of them are new."
    ]
    if manifest.stopped:
        lines.append(
            f"Running or queued then, and stopped there: job {', '.join(map(str, manifest.stopped))}."
        )
    lines += [f"Not in it, since it is damaged: {one}." for one in manifest.damaged]
    data = {
        "backup": str(made.root),
        "made_at": manifest.made_at.isoformat(),
        "files": len(manifest.files),
        "bytes": manifest.bytes,
        "copied": made.copied,
        "copied_bytes": made.copied_bytes,
        "stopped": manifest.stopped,
        "damaged": manifest.damaged,
    }
    return Outcome("\n".join(lines), data, 1 if manifest.damaged else 0)


COMMAND = Command("backup", "Back the store up into a folder, while jobs go on.", _arguments, _run)
