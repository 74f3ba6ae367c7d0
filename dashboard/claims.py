"""What two arms of a study show on both risks, and how a verdict is badged."""

from dataclasses import dataclass

from dashboard import queries
from data.rows import StudyRow
from data.store import Store
from engine.analysis.shuffling import LEAST_RATIO, Effect, Reading, read
from engine.studies import Verdict

OWN, FULL = "own_batch_risk", "full_batch_risk"
BADGES = {
    "holds": ("Claim supported", "green"),
    "does not hold": ("Claim not supported", "orange"),
    "undecided": ("No verdict yet", "gray"),
}


@dataclass(frozen=True)
class Finding:
    """One comparison of two arms and what it shows."""

    a: str
    b: str
    own: Effect | None
    full: Effect | None
    reading: Reading


def finding(store: Store, version: str, study: StudyRow, a: str, b: str) -> Finding:
    """Compare two arms of a study on both risks."""
    known = queries.metrics(store, study.name)
    own = queries.effect(store, version, study.name, OWN, a, b) if OWN in known else None
    full = queries.effect(store, version, study.name, FULL, a, b) if FULL in known else None
    planned = study.config.get("comparisons", [])
    least = next((item.get("least_ratio") for item in planned if {item["a"], item["b"]} == {a, b}), None)
    return Finding(a, b, own, full, read(a, b, own, full, float(least or LEAST_RATIO)))


def badge(found: Verdict, training: bool) -> str:
    """Return the badge of a verdict; while more is trained there is none yet."""
    word, colour = ("Still training: no verdict yet", "blue") if training else BADGES[found.kind]
    return f":{colour}-badge[{word}]"
