"""What is asked of a job that imports logs; light enough for the dashboard to import."""

from collections.abc import Sequence
from typing import Any

from data.importing.roles import Corrections
from data.importing.staged import Staged
from data.rows import JobKind, JobRow

KIND: JobKind = "import_logs"
BEFORE = "it was imported before"
"""How the reason begins for which a file that is in the store already is skipped."""


def spec(upload: str, study: str | None, said: Corrections, commit: bool, who: str) -> dict[str, Any]:
    """Return what a job needs to know.

    Args:
        upload: token of the intake, which lies in the store.
        study: to import into; None for a name after the files, where files in any study count as known.
        said: what was corrected.
        commit: whether to import; else the files are read and planned only.
        who: wants it.
    """
    return {"upload": upload, "study": study, "said": said.to_json(), "commit": commit, "who": who}


def newest(jobs: Sequence[JobRow], upload: str) -> JobRow | None:
    """Return the last job that was given an upload; None before there is one."""
    mine = [job for job in jobs if job.kind == KIND and job.spec.get("upload") == upload]
    return max(mine, key=lambda job: job.id, default=None)


def all_known(staged: Staged) -> bool:
    """Whether there is nothing to import because what can be read was imported before."""
    return not staged.shapes and any(one.why.startswith(BEFORE) for one in staged.skipped)
