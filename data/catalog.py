"""The catalogue: the small facts that many processes change together, one transaction at a time."""

from data.catalog_checkpoints import CheckpointCatalog
from data.catalog_jobs import JobCatalog
from data.catalog_results import ResultCatalog, StudySnapshot
from data.catalog_runs import RunCatalog
from data.catalog_studies import StudyCatalog
from data.catalog_tokens import TokenCatalog
from data.catalog_uploads import UploadCatalog
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
    TokenRow,
    UploadRow,
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
    "TokenRow",
    "UploadRow",
]


class Catalog(
    StudyCatalog, RunCatalog, JobCatalog, CheckpointCatalog, ResultCatalog, UploadCatalog, TokenCatalog
):
    """Studies, metrics, runs, jobs, checkpoints, segments, analyses, imports and tokens of one store."""
