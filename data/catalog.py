"""The catalogue: the small facts that many processes change together, one transaction at a time."""

from data.catalog_checkpoints import CheckpointCatalog
from data.catalog_jobs import JobCatalog
from data.catalog_people import PeopleCatalog
from data.catalog_results import ResultCatalog, StudySnapshot
from data.catalog_runs import RunCatalog
from data.catalog_sharing import SharingCatalog
from data.catalog_studies import StudyCatalog
from data.catalog_tokens import TokenCatalog
from data.catalog_uploads import UploadCatalog
from data.rows import (
    AnalysisRow,
    AuditRow,
    CheckpointKind,
    CheckpointRow,
    JobKind,
    JobRow,
    JobStatus,
    MetricRow,
    NoteRow,
    PersonRow,
    ReportRow,
    RunRow,
    RunStatus,
    SavedViewRow,
    SegmentRow,
    Source,
    StudyRow,
    TokenRow,
    UploadRow,
)

__all__ = [
    "AnalysisRow",
    "AuditRow",
    "Catalog",
    "CheckpointKind",
    "CheckpointRow",
    "JobKind",
    "JobRow",
    "JobStatus",
    "MetricRow",
    "NoteRow",
    "PersonRow",
    "ReportRow",
    "RunRow",
    "RunStatus",
    "SavedViewRow",
    "SegmentRow",
    "Source",
    "StudyRow",
    "StudySnapshot",
    "TokenRow",
    "UploadRow",
]


class Catalog(
    StudyCatalog,
    RunCatalog,
    JobCatalog,
    CheckpointCatalog,
    ResultCatalog,
    UploadCatalog,
    TokenCatalog,
    PeopleCatalog,
    SharingCatalog,
):
    """All that a store knows besides its traces."""
