"""What the runs of a study say of its claim, kept once they have ended: a page never waits for it twice."""

import dataclasses
import hashlib
import logging
from functools import cache
from pathlib import Path

from data import analyses
from data.errors import LabError
from data.store import Store
from engine.studies import Detail, Verdict, verdict
from engine.version import code_version

log = logging.getLogger(__name__)

_KIND = "verdict"
_UNFINISHED = ("queued", "running")


def judged(store: Store, study: str) -> Verdict | None:
    """Return the verdict on the runs as they are; None where the study has none of its own, or no runs.

    It is kept with its inputs where no run of the study is still to end; some take seconds to compute.

    Raises:
        LabError: what the verdict needs is gone, for example a file of data.
    """
    judge, runs = verdict(study), store.catalog.run_states(study)
    if judge is None or not runs:
        return None
    ended = [(run.id, run.status) for run in runs]
    inputs = {"runs": hashlib.blake2b(repr(ended).encode(), digest_size=8).hexdigest(), "rules": _rules()}
    version, code = store.traces.version(study), code_version()
    try:
        kept = store.catalog.analysis(analyses.key_of(study, _KIND, inputs, code, version, None)).summary
        return Verdict(**{**kept, "details": tuple(Detail(**part) for part in kept["details"])})
    except LabError:
        found = judge(store)
    if not any(run.status in _UNFINISHED for run in runs):
        try:
            analyses.save(store, study, _KIND, inputs, dataclasses.asdict(found), {}, code, version)
        except LabError as error:  # it stands all the same, and is computed again next time
            log.warning("The verdict on `%s` is not kept: %s", study, error)
    return found


@cache
def _rules() -> str:
    """Return what changes with the text of any study's verdict, also between two versions of the code."""
    files = sorted(Path(__file__).parents[1].joinpath("studies").glob("*.py"))
    return hashlib.blake2b(b"".join(file.read_bytes() for file in files), digest_size=8).hexdigest()
