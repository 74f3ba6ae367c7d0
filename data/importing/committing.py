"""An import is made to count: one sealed file and one transaction, or nothing."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import LabError
from data.importing.filling import ROWS, metric_columns
from data.importing.limits import Limits
from data.importing.planning import Plan
from data.importing.roles import Corrections
from data.importing.run_names import PlannedRun
from data.importing.staged import Staged
from data.rows import MetricRow, UploadRow
from data.sealing import seal_staged

if TYPE_CHECKING:
    from data.store import Store


def commit(
    store: "Store",
    job: int,
    study: str,
    folder: Path,
    staged: Staged,
    planned: Plan,
    said: Corrections,
    limits: Limits,
    who: str,
    code_version: str,
    described: Mapping[str, MetricRow] | None = None,
) -> UploadRow:
    """Import what was planned.

    Args:
        store: to import into.
        job: that does it.
        study: to be made, or one that was imported before.
        folder: of the import; nobody has its staged rows open.
        staged: what was found in the files.
        planned: runs and metrics; its rows are in the folder.
        said: what was corrected, kept with the provenance.
        limits: the memory.
        who: imports.
        code_version: of this program.
        described: what the lab knows of metrics by their names in the store.

    Raises:
        LabError: the study is one of the engine, its name cannot be one, or the disk is full. Nothing is
            changed then.
    """
    require_name(study, limits)
    store.catalog.require_importable(study)
    runs = [(index, run) for index, run in enumerate(planned.runs) if run.rows]
    ids = store.catalog.reserve_runs(job, len(runs))
    numbers = dict(zip((index for index, _ in runs), ids, strict=True))
    # Case tells no columns apart: a metric that the study has is called as it is there.
    there = {metric.name.lower(): metric.name for metric in store.catalog.metrics(study)}
    metrics = {there.get(name.lower(), name): at for name, at in metric_columns(planned.metrics).items()}
    for run in planned.runs:
        run.finals = {there.get(name.lower(), name): value for name, value in run.finals.items()}
    segment = seal_staged(
        store.segments, job, 0, folder / "staged.duckdb", ROWS, numbers, metrics, limits.memory_bytes
    )
    with ExitStack() as unless_counted:
        unless_counted.callback((store.root / segment["path"]).unlink, missing_ok=True)
        row = store.catalog.add_upload(
            study,
            job,
            [_metric(study, name, staged, planned, described or {}) for name in metrics],
            [_run(numbers[index], run) for index, run in runs],
            segment,
            {
                "files": staged.files,
                "mapping": said.to_json(),
                "runs": len(runs),
                "rows": segment["rows"],
                "skipped": [list(one) for one in staged.skipped],
                "warnings": planned.warnings,
                "who": who,
                "code_version": code_version,
            },
        )
        unless_counted.pop_all()
    return row


def require_name(study: str, limits: Limits) -> None:
    """Refuse what can be no study's name.

    Raises:
        LabError: it is empty, too long, or has characters other than letters, digits, spaces and ``._@=,+-``.
    """
    if not re.fullmatch(r"[^\W_][\w .@=,+-]*", study) or len(study) > limits.name or study != study.strip():
        raise LabError(
            "This can be no study's name",
            f"`{study[:60]}` must begin with a letter or digit, hold only letters, digits, spaces and "
            f"._@=,+-, and have at most {limits.name} characters.",
            "Choose another name.",
        )


def study_name(names: list[str]) -> str:
    """Return a name for a study of files that are called so."""
    tops = list(dict.fromkeys(name.split("/")[0] for name in names))
    first = tops[0] if len(tops) == 1 else commonprefix(tops)  # noqa: RUF071 - of characters, not of folders
    bare = re.sub(r"(\.[A-Za-z0-9]{1,8})+$", "", first)
    return re.sub(r"[^\w.@=,+-]+", "-", bare).strip("-._ ") or "logs"


def _metric(
    study: str, name: str, staged: Staged, planned: Plan, described: Mapping[str, MetricRow]
) -> MetricRow:
    importers = ", ".join(sorted({file["importer"] for file in staged.files}))
    theirs = [theirs for theirs, ours in planned.metrics.items() if ours == name]
    known = described.get(name)
    return MetricRow(
        study=study,
        name=name,
        label=known.label if known else name,
        unit=planned.units.get(name) or (known.unit if known else ""),
        formula=f"as logged under {', '.join(theirs)}",
        source=f"files read as {importers}",
        log=known.log if known else name in planned.log,
    )


def _run(id: int, run: PlannedRun) -> dict[str, Any]:
    first, last = run.steps or (0, 0)
    now = datetime.now(UTC)
    return {
        "id": id,
        "arm": run.arm,
        "seed": run.seed,
        "status": "done" if run.diverged_at is None else "diverged",
        "step": last,
        "steps": last,
        "diverged_at": run.diverged_at,
        "diverged_what": run.diverged_what,
        "converged_at": None,
        "converged_what": None,
        "device": "elsewhere",
        "config": {"name": run.name, "first_step": first, "files": run.files} | run.config,
        "finals": run.finals,
        "started_at": run.started or now,
        "finished_at": None,
        "seconds": run.seconds,
        "tags": [],
        "note": "",
        "archived_at": None,
        "deleted_at": None,
    }
