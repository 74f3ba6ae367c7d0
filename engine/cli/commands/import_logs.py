"""`import`: logs of runs made elsewhere, as a study."""

import os
import secrets
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.errors import LabError
from data.importing.committing import require_name
from data.importing.gathering import Given
from data.importing.intake import Intake, clear_abandoned
from data.importing.roles import Corrections
from data.importing.staging import StoppedReading
from data.store import Store, catalogue_file, locate
from engine.cli.bar import bar
from engine.cli.command import Command, Outcome, open_lab
from engine.cli.table import table
from engine.jobs.import_logs import report
from engine.jobs.import_request import all_known, spec
from engine.jobs.worker import carry_out, me, stop_on_signals


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help="log files, folders or archives of them"
    )
    parser.add_argument("--study", metavar="NAME", help="the study they become (default: after the files)")
    parser.add_argument(
        "--map", metavar="ROLE=COLUMN", nargs="+", action="extend", default=[],
        help="what a column is: step, epoch, seconds, time, run, arm, seed, metric, value or skip; "
        "any other word names the metric in it",
    )  # fmt: skip
    parser.add_argument(
        "--run", metavar="NAME=ARM:SEED", nargs="+", action="extend", default=[],
        help="arm and seed of a run, by the name that --dry-run shows",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="show what would be imported, and stop there")
    parser.add_argument("--undo", metavar="N", type=int, help="take import number N out again")


def _run(arguments: Namespace) -> Outcome:
    if arguments.undo is not None:
        return _undo(arguments)
    if not arguments.paths:
        raise LabError("Nothing to import", "No file was named.", "Name log files, folders or archives.")
    said = Corrections.parse(arguments.map, arguments.run)
    root = locate(arguments.store).expanduser().absolute()
    store = open_lab(arguments) if catalogue_file(root) else None
    intake = Intake.begin(_room(store, root), _given(arguments.paths))
    try:
        known = store.catalog.imported_files(arguments.study) if store else {}
        with stop_on_signals() as stop, bar() as show:

            def told(done: int, total: int, text: str) -> bool:
                show(done, total, text)
                return bool(stop)

            staged = intake.read(known, told)
        study = arguments.study or intake.study
        require_name(study, intake.limits)
        if store is not None:
            store.catalog.require_importable(study)
        if all_known(staged):
            return Outcome(_known(report(study, staged, None)), report(study, staged, None))
        planned = intake.plan(said)
        found = report(study, staged, planned)
        pairs = [(run.arm, run.seed) for run in planned.runs if run.rows]
        if store is not None and (again := store.catalog.replaced(study, pairs)):
            found["warnings"] = [
                *found["warnings"],
                f"{again:,} runs of `{study}` have the same arm and seed and are replaced; undoing it "
                "brings them back.",
            ]
        if arguments.dry_run:
            return Outcome(_told(found, "Would be imported"), found)
        if store is None:
            store = open_lab(arguments, create=True)
            intake = Intake(intake.folder.rename(store.uploads / secrets.token_hex(8)))
        wanted = spec(intake.token, study, said, True, "command line")
        with stop_on_signals() as stop, bar() as show:
            job = carry_out(store, store.catalog.create_job("import_logs", study, wanted, me()), stop, show)
        if job.status != "done" or job.result is None:
            return Outcome("Stopped; nothing was imported.", found | {"runs": []}, 130)
        text = _told(found, f"Import {job.result['upload']}")
        undo = f"Undo it with: python -m engine import --undo {job.result['upload']}"
        return Outcome(f"{text}\n{undo}", found | {"import": job.result["upload"]})
    except StoppedReading:
        return Outcome("Stopped; nothing was imported.", None, 130)
    finally:
        intake.discard()


def _given(paths: Sequence[Path]) -> list[Given]:
    """Return what was named by its last name, or from the folder on that holds all where two end alike."""
    whole = [Path(os.path.abspath(path)) for path in paths]
    if len({path.name for path in whole}) == len(set(whole)):
        return [Given(path.name, path) for path in whole]
    above = Path(os.path.commonpath([path.parent for path in whole])).parent
    return [Given(path.relative_to(above).as_posix(), path) for path in whole]


def _room(store: Store | None, root: Path) -> Path:
    """Return a folder for the import, on the file system of the store even where there is none yet."""
    if store is not None:
        clear_abandoned(store)
        return store.uploads / secrets.token_hex(8)
    near = next(folder for folder in (root, *root.parents) if folder.is_dir())
    return near / f".detour-{secrets.token_hex(8)}"


def _undo(arguments: Namespace) -> Outcome:
    row = open_lab(arguments).catalog.undo_upload(arguments.undo)
    text = f"Import {row.id} is undone: its {row.runs:,} runs of `{row.study}` count nowhere any more."
    return Outcome(text, {"import": row.id, "study": row.study, "runs": row.runs, "undone": True})


def _known(found: dict[str, Any]) -> str:
    return "\n".join(["These files were imported before; nothing was added.", *_skipped(found)])


def _told(found: dict[str, Any], first: str) -> str:
    runs = found["runs"]
    cells = ("name", "arm", "seed")
    rows = [
        (*(run[cell] for cell in cells), f"{run['rows']:,}", _steps(run["steps"]), ", ".join(run["metrics"]))
        for run in runs[:20]
    ]
    lines = [
        f"{first}: study `{found['study']}`, {len(runs):,} runs, {sum(run['rows'] for run in runs):,} rows, "
        f"read as {found['format']}.",
        "",
        table(("run", "arm", "seed", "rows", "steps", "metrics"), rows),
    ]
    lines += [f"and {len(runs) - 20:,} more runs"] if len(runs) > 20 else []
    lines += [f"Note: {warning}" for warning in found["warnings"]]
    return "\n".join([*lines, *_skipped(found)])


def _steps(ends: list[int]) -> str:
    return "..".join(f"{end:,}" for end in ends)


def _skipped(found: dict[str, Any]) -> list[str]:
    return [f"Skipped {one['name']}: {one['why']}. {one['remedy']}".rstrip() for one in found["skipped"]]


COMMAND = Command("import", "Import logs of runs made elsewhere as a study.", _arguments, _run)
