"""What a study's own comparisons show so far: its verdict, from the catalogue's configuration and the traces."""

from dataclasses import dataclass

from dashboard import queries
from dashboard.verdicts import Verdict, read
from data.rows import StudyRow
from data.store import Store
from engine.analysis.shuffling import Effect

OWN, FULL = "own_batch_risk", "full_batch_risk"


@dataclass(frozen=True)
class Finding:
    """One comparison of a study and what it shows."""

    a: str
    b: str
    role: str
    own: Effect | None
    full: Effect | None
    verdict: Verdict


def finding(store: Store, version: str, study: StudyRow, a: str, b: str, role: str) -> Finding:
    """Compare two arms of a study on both risks."""
    known = queries.metrics(store, study.name)
    own = queries.effect(store, version, study.name, OWN, a, b) if OWN in known else None
    full = queries.effect(store, version, study.name, FULL, a, b) if FULL in known else None
    return Finding(a, b, role, own, full, read(a, b, own, full))


def findings(store: Store, version: str, study: StudyRow) -> list[Finding]:
    """Return every comparison that the study set out to make."""
    asked = study.config.get("comparisons", [])
    return [finding(store, version, study, item["a"], item["b"], item["role"]) for item in asked]


def claim_verdict(found: list[Finding]) -> tuple[str, str]:
    """Return a word for the study's claim as a whole and the colour of its badge.

    The claim of a reversal is supported when every treatment reverses and no control shows a difference.
    """
    treatments = [item.verdict.kind for item in found if item.role == "treatment"]
    controls = [item.verdict.kind for item in found if item.role == "control"]
    if not treatments or "unknown" in treatments + controls:
        return "No verdict yet", "gray"
    if all(kind == "reversal" for kind in treatments):
        return (
            ("Claim supported", "green")
            if all(kind == "none" for kind in controls)
            else ("Partly supported", "orange")
        )
    return "Claim not supported", "orange"
