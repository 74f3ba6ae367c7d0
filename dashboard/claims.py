"""What a study's own comparisons show so far: the verdict of its claim."""

from dataclasses import dataclass

from dashboard import queries
from dashboard.verdicts import LEAST_RATIO, Verdict, read
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
    planned = study.config.get("comparisons", [])
    least = next((item.get("least_ratio") for item in planned if {item["a"], item["b"]} == {a, b}), None)
    return Finding(a, b, role, own, full, read(a, b, own, full, float(least or LEAST_RATIO)))


def findings(store: Store, version: str, study: StudyRow) -> list[Finding]:
    """Return every comparison that the study set out to make."""
    asked = study.config.get("comparisons", [])
    return [finding(store, version, study, item["a"], item["b"], item["role"]) for item in asked]


def claim_verdict(found: list[Finding], training: bool) -> tuple[str, str]:
    """Return a word for the study's claim as a whole and the colour of its badge.

    The claim of a reversal is supported when every treatment reverses and every control ends the same; a
    control that merely shows no difference supports it in part.
    """
    treatments = [item.verdict.kind for item in found if item.role == "treatment"]
    controls = [item.verdict.kind for item in found if item.role == "control"]
    if training:
        return "Still training: no verdict yet", "blue"
    if not treatments or "unknown" in treatments + controls:
        return "No verdict yet", "gray"
    if any(kind != "reversal" for kind in treatments):
        return "Claim not supported", "orange"
    if all(kind == "same" for kind in controls):
        return "Claim supported", "green"
    return "Partly supported", "orange"
