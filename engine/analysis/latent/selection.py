"""Which runs each fold holds out, and how many states they ask for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.model import LatentModel
from engine.analysis.latent.trust import Trust
from engine.analysis.refits import Refits

FOLDS = 5
"""Folds of the cross-validation, or as many as there are groups where there are fewer."""

RULE = (
    "fewest states whose cross-validated log-likelihood per observation lies within one standard error (over "
    "groups of runs) of the highest; restarts chosen by training log-likelihood"
)


@dataclass(frozen=True)
class Selection:
    """The fit of every number of states tried.

    Attributes:
        table: one candidate per number of states, ascending.
        best: the model of the chosen number of states.
        trust: how far to believe it.
        refits: the chosen model fitted again to bootstrap samples; None where none was asked for.
    """

    table: tuple[Candidate, ...]
    best: LatentModel
    trust: Trust
    refits: Refits | None = None


def folds(usable: Sequence[int], groups: Sequence[Hashable], seed: int) -> tuple[tuple[int, ...], ...]:
    """Return the positions held out in each fold; every run is held out once, and groups stay together.

    Args:
        usable: positions of runs that can be fitted.
        groups: a label per run: paired arms of one seed share it.
        seed: of the draw, which depends on the set of groups only, not on their order.

    Raises:
        ValueError: fewer than two groups.
    """
    present = sorted({groups[run] for run in usable}, key=repr)
    if len(present) < 2:
        raise ValueError(
            f"`runs` must hold at least two groups with usable rows, one to fit and one to hold out; got "
            f"{len(present)}. Train more seeds."
        )
    order = np.random.default_rng([seed]).permutation(len(present))
    fold = {present[index]: place % FOLDS for place, index in enumerate(order)}
    return tuple(
        tuple(run for run in usable if fold[groups[run]] == number)
        for number in range(min(FOLDS, len(present)))
    )


def by_group(values: Float[np.ndarray, " runs"], labels: Sequence[Hashable]) -> Float[np.ndarray, " groups"]:
    """Return the mean of each group: arms of one seed are not independent, so errors count groups."""
    members: dict[Hashable, list[float]] = {}
    for label, value in zip(labels, values, strict=True):
        members.setdefault(label, []).append(float(value))
    return np.array([np.mean(each) for each in members.values()])


def standard_error(values: Float[np.ndarray, " groups"]) -> float:
    """Return sd / sqrt(n), with divisor n - 1 in the sd, of at least two values."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def choose(means: Sequence[float], errors: Sequence[float]) -> int:
    """Return the position of the first candidate within one standard error of the highest.

    Args:
        means: held-out log-likelihoods, in ascending number of states.
        errors: their standard errors; that of the highest counts.

    Source:
        Hastie, Tibshirani & Friedman 2009, section 7.10 (one-standard-error rule).
    """
    highest = int(np.argmax(means))
    return next(k for k, mean in enumerate(means) if mean >= means[highest] - errors[highest])
