"""What explanation of data orders a person asks for: read and checked against the store before it is made."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from data.analyses import key_of
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from engine.jobs.fit_request import require_known
from engine.version import code_version

KIND = "explanation"
"""What such a result is called among the analyses of a store."""


@dataclass(frozen=True)
class ExplainRequest:
    """An explanation that can be started.

    Attributes:
        study: a study in the store.
        arms: whose runs are explained.
        seeds: of which seeds; those with weights in the store count.
        classes: the two classes to tell apart; empty for the two that the read-outs tell apart worst.
        seed: of the subsets that stand for all of Random Reshuffle's batches where those are more.
    """

    study: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    classes: tuple[int, ...]
    seed: int

    @property
    def spec(self) -> dict[str, Any]:
        """The job's specification, as ``engine.jobs.explain`` reads it."""
        return asdict(self)


def explain_request(
    store: Store,
    study: str,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    classes: Sequence[int] | None = None,
    seed: int = 0,
) -> ExplainRequest:
    """Return the explanation of a study's orders, with every default filled in.

    Args:
        store: where the study is.
        study: its name.
        arms: names of arms; all that have runs when None.
        seeds: all when None.
        classes: two classes; those that are told apart worst when None.
        seed: source of chance.

    Raises:
        LabError: no such study, arm or seed; no run; a study that was not trained here; classes that are not
            two different ones.
    """
    row = store.catalog.study(study)
    if row.source != "engine":
        raise LabError(
            "No weights to explain",
            f"`{study}` was uploaded: its networks are not in this store.",
            "Explanations need weights; the comparisons of its traces need none.",
        )
    runs = store.catalog.runs(study, archived=True)
    if not runs:
        raise LabError(
            "Nothing to explain",
            f"`{study}` has no runs in this store.",
            f"Train it: python -m engine train {study.partition('@')[0]}.",
        )
    has_arms = list(dict.fromkeys(run.arm for run in runs))
    require_known("arm", arms or (), has_arms, study)
    has_seeds = sorted({run.seed for run in runs})
    if missing := sorted(set(seeds or ()) - set(has_seeds)):
        raise LabError(
            "Unknown seed",
            f"`{study}` has no run of seed {missing[0]}.",
            f"Choose from {has_seeds[0]} to {has_seeds[-1]}.",
        )
    if classes and (len(set(classes)) != 2 or len(classes) != 2 or min(classes) < 0):
        raise LabError(
            "Two classes are told apart",
            f"`classes` must be two different classes, counted from 0; got {', '.join(map(str, classes))}.",
            "For example 3 and 8.",
        )
    if not 0 <= seed < 2**32:
        raise LabError(
            "Number out of range", f"`seed` must be 0 to {2**32 - 1}; got {seed}.", "Choose another."
        )
    chosen = tuple(dict.fromkeys(seeds)) if seeds else tuple(has_seeds)
    return ExplainRequest(study, tuple(dict.fromkeys(arms or has_arms)), chosen, tuple(classes or ()), seed)


def stored(store: Store, wanted: ExplainRequest, data_version: str) -> AnalysisRow | None:
    """Return this very explanation where it is kept already."""
    key = key_of(wanted.study, KIND, wanted.spec, code_version(), data_version, wanted.seed)
    return next((row for row in store.catalog.analyses(wanted.study, KIND) if row.key == key), None)
