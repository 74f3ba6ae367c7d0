"""The catalogue: the small facts that many processes change together, one transaction at a time."""

from data.catalog_checkpoints import CheckpointCatalog
from data.catalog_jobs import JobCatalog
from data.catalog_results import ResultCatalog, StudySnapshot
from data.catalog_runs import RunCatalog
from data.catalog_studies import StudyCatalog
from data.rows import (
    AnalysisRow,
    CheckpointKind,
    CheckpointRow,
    JobKind,
    JobRow,
    JobStatus,
    MetricRow,
    RunRow,
    RunStatus,
    SegmentRow,
    Source,
    StudyRow,
)

__all__ = [
    "AnalysisRow",
    "Catalog",
    "CheckpointKind",
    "CheckpointRow",
    "JobKind",
    "JobRow",
    "JobStatus",
    "MetricRow",
    "RunRow",
    "RunStatus",
    "SegmentRow",
    "Source",
    "StudyRow",
    "StudySnapshot",
]


class Catalog(StudyCatalog, RunCatalog, JobCatalog, CheckpointCatalog, ResultCatalog):
    """Studies, metrics, runs, jobs, checkpoints, segments and analyses of one store."""
