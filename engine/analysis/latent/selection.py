"""Which runs are held out, and how many states they ask for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from engine.analysis.latent.candidate import Candidate
from engine.analysis.latent.model import LatentModel
from engine.analysis.latent.trust import Trust

SHARE_HELD_OUT = 0.25
"""Share of the groups held out when nothing else is said."""

RULE = (
    "fewest states whose held-out log-likelihood per observation lies within one standard error (over "
    "held-out groups of runs) of the highest; restarts chosen by training log-likelihood"
)
RULE_WITHOUT_ERROR = (
    "highest held-out log-likelihood per observation (one held-out group has no standard error); restarts "
    "chosen by training log-likelihood"
)


@dataclass(frozen=True)
class Selection:
    """The fit of every number of states tried.

    Attributes:
        table: one candidate per number of states, ascending.
        best: the model of the chosen number of states.
        trust: how far to believe it.
    """

    table: tuple[Candidate, ...]
    best: LatentModel
    trust: Trust


def split(
    usable: Sequence[int], groups: Sequence[Hashable], held_out: Sequence[int] | None, seed: int
) -> tuple[list[int], list[int]]:
    """Return the positions of training and of held-out runs; a group is never on both sides.

    One split, not cross-validation: five folds would cost five times the fit, and every number that is
    shown then belongs to one model whose training runs can be named.

    Args:
        usable: positions of runs that can be fitted.
        groups: a label per run: paired arms of one seed share it.
        held_out: positions to hold out; None draws a quarter of the groups, at least one, by `seed`.
        seed: of that draw, which depends on the set of groups only, not on their order.

    Raises:
        ValueError: fewer than two groups; a position that does not exist; a group on both sides; a side
            without a usable run.
    """
    if held_out is None:
        present = sorted({groups[run] for run in usable}, key=repr)
        if len(present) < 2:
            raise ValueError(
                f"`runs` must hold at least two groups with usable rows, one to fit and one to hold "
                f"out; got {len(present)}."
            )
        count = min(len(present) - 1, max(1, round(SHARE_HELD_OUT * len(present))))
        order = np.random.default_rng([seed]).permutation(len(present))
        chosen = {present[index] for index in order[:count]}
    else:
        unknown = sorted(set(held_out) - set(range(len(groups))))
        if unknown:
            raise ValueError(
                f"`held_out` must hold positions of runs, 0 to {len(groups) - 1}; got {unknown[0]}."
            )
        chosen = {groups[run] for run in held_out}
        straddling = [run for run in usable if groups[run] in chosen and run not in set(held_out)]
        if straddling:
            raise ValueError(
                f"`held_out` must hold whole groups; run {straddling[0]} of group "
                f"{groups[straddling[0]]!r} would stay in training."
            )
    training = [run for run in usable if groups[run] not in chosen]
    testing = [run for run in usable if groups[run] in chosen]
    if not training or not testing:
        side = "training" if not training else "holding out"
        raise ValueError(f"`held_out` must leave usable runs on both sides; none is left for {side}.")
    return training, testing


def standard_error(values: Float[np.ndarray, " runs"]) -> float:
    """Return sd / sqrt(n), with divisor n - 1 in the sd; NaN for a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else float("nan")


def choose(means: Sequence[float], errors: Sequence[float]) -> int:
    """Return the position of the first candidate within one standard error of the highest.

    Args:
        means: held-out log-likelihoods, in ascending number of states.
        errors: their standard errors; where that of the highest is NaN the highest itself is chosen.

    Source:
        Hastie, Tibshirani & Friedman 2009, section 7.10 (one-standard-error rule).
    """
    highest = int(np.argmax(means))
    if math.isnan(errors[highest]):
        return highest
    return next(k for k, mean in enumerate(means) if mean >= means[highest] - errors[highest])
