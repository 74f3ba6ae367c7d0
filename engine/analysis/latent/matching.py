"""Which state of one fit is which state of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment


class Matching(NamedTuple):
    """States of one fit in terms of another's.

    Attributes:
        states: for each state of the fit, the reference's state it is; -1 where none is left for it.
        agreement: share of rows on which both fits are in the same state after that renaming.
    """

    states: Int[np.ndarray, " found"]
    agreement: float


def match(
    paths: Sequence[Int[np.ndarray, " _"]],
    reference: Sequence[Int[np.ndarray, " _"]],
    n_states: int,
    n_reference: int,
) -> Matching:
    """Match the states of two fits by the rows they share, one to one.

    The assignment with the most rows in common: states that no reference state is left for, or that share
    no row with the one left, are matched with none.

    Args:
        paths: states of the fit, run by run.
        reference: states of the reference fit at the same rows.
        n_states: number of states of the fit.
        n_reference: number of states of the reference.

    Raises:
        ValueError: the paths are of other lengths, or hold no row.

    Source:
        Kuhn 1955 (assignment problem); scipy.optimize.linear_sum_assignment.
    """
    if [len(path) for path in paths] != [len(path) for path in reference] or not sum(map(len, paths)):
        raise ValueError("`paths` and `reference` must cover the same rows, at least one.")
    shared = np.zeros((n_states, n_reference), dtype=int)
    np.add.at(shared, (np.concatenate(paths), np.concatenate(reference)), 1)
    rows, columns = linear_sum_assignment(shared, maximize=True)
    states = np.full(n_states, -1)
    together = shared[rows, columns]
    states[rows[together > 0]] = columns[together > 0]
    return Matching(states, float(together.sum() / shared.sum()))
