"""The job that reads logs made elsewhere, works out what they would become, and imports them when told to."""

from collections.abc import Iterable
from typing import Any

from data.importing.intake import find
from data.importing.planning import Plan
from data.importing.roles import Corrections
from data.importing.staged import Staged
from data.importing.staging import StoppedReading
from data.rows import MetricRow
from data.store import Store
from engine.jobs.import_request import all_known
from engine.jobs.progress import Ending, Progress
from engine.version import code_version


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Do what the job's specification says.

    Args:
        store: where the upload lies and the study comes to be.
        job_id: a job whose spec is that of `import_request.spec`.
        progress: told in files; True stops the job, with nothing imported.

    Returns:
        ``"done"`` with the number of the import, None where nothing was to be imported; or ``"stopped"``.

    Raises:
        LabError: the upload is gone, or its files cannot be imported as they are; nothing is changed then.
    """
    wanted = store.catalog.job(job_id).spec
    intake = find(store, wanted["upload"])
    said = Corrections.from_json(wanted["said"])
    study = wanted["study"] or intake.study
    if wanted["study"] is not None:  # a name that was chosen; one after the files can still be changed
        store.catalog.require_importable(study)
    try:
        staged = intake.read(store.catalog.imported_files(wanted["study"]), progress)
    except StoppedReading:
        return Ending("stopped", {})
    if not staged.shapes and (not wanted["commit"] or all_known(staged)):
        return Ending("done", {"upload": None})
    files = len(staged.files)
    if progress(files, files + 2, "planning"):
        return Ending("stopped", {})
    planned = intake.plan(said)
    if not wanted["commit"]:
        return Ending("done", {"upload": None})
    if progress(files + 1, files + 2, f"writing {sum(run.rows for run in planned.runs):,} rows"):
        return Ending("stopped", {})
    row = intake.commit(
        store, job_id, study, said, wanted["who"], code_version(), described(study, planned.metrics.values())
    )
    progress(files + 2, files + 2)
    return Ending("done", {"upload": row.id, "runs": row.runs, "rows": row.rows})


def described(study: str, names: Iterable[str]) -> dict[str, MetricRow]:
    """Return what the lab says of metrics that have one of its own names."""
    from data.importing.roles import SAME_AS

    known = set(names) & set(SAME_AS)
    if not known:
        return {}
    from engine.metrics import metrics  # with torch, which most imports do without

    return {
        name: MetricRow(study, name, one.label, one.unit, one.formula, one.source, one.log)
        for name, one in metrics().items()
        if name in known
    }


def report(study: str, staged: Staged, planned: Plan | None) -> dict[str, Any]:
    """Return what is imported, as ``import --json`` prints it."""
    return {
        "study": study,
        "runs": [
            {
                "name": run.name,
                "arm": run.arm,
                "seed": run.seed,
                "rows": run.rows,
                "steps": list(run.steps or ()),
                "metrics": run.metrics,
            }
            for run in (planned.runs if planned else [])
            if run.rows
        ],
        "format": ", ".join(sorted({file["importer"] for file in staged.files})),
        "warnings": planned.warnings if planned else [],
        "skipped": [one._asdict() for one in staged.skipped],
    }
