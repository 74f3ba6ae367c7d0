"""The evidence on every state tested: permutations, delays and their bootstrap."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from engine.analysis.detours.delay import joint_delays, marginal_delays
from engine.analysis.detours.prepared import Prepared
from engine.analysis.detours.randomization import Randomized, randomize, studentized
from engine.analysis.detours.visits import Excess, Visits, beyond_exposure
from engine.analysis.survival import log_rank_scores, pseudo_values


class Evidence(NamedTuple):
    """Of the states tested, in order; draws of the bootstrap come without the data itself.

    `stability` is the share of draws in which a state reaches the critical value again and its joint delay
    is above 0.
    """

    test: Randomized
    delay: Float[np.ndarray, " tested"]
    delay_draws: Float[np.ndarray, "draws tested"]
    joint: Float[np.ndarray, " tested"]
    joint_draws: Float[np.ndarray, "draws tested"]
    is_detour: Bool[np.ndarray, " tested"]
    stability: Float[np.ndarray, " tested"]


class _Itself(NamedTuple):
    """What the runs themselves say, before any bootstrap."""

    visits: Visits
    scores: Float[np.ndarray, " runs"]
    test: Randomized
    restricted: Float[np.ndarray, " runs"]
    late: list[Int[np.ndarray, " _"]]
    joint: Float[np.ndarray, " tested"]


def weigh(data: Prepared, alpha: float, permutations: int, draws: int, seed: int) -> Evidence:
    """Return the evidence on the states that can be tested; arguments as for `find`."""
    if not len(data.tested):
        nothing, none = np.zeros(0), np.zeros((draws, 0))
        test = Randomized(nothing, nothing, nothing, nothing, np.inf)
        return Evidence(test, nothing, none, nothing, none, np.zeros(0, dtype=bool), nothing)
    n = len(data.times)
    here = _itself(data, permutations, alpha, seed)
    drawn = np.random.default_rng([seed, 2]).integers(n, size=(draws, n))
    counts = (drawn[:, :, None] == np.arange(n)).sum(axis=1).astype(float)
    again = beyond_exposure(here.visits, counts)
    joint_draws = _joint(here.restricted, here.visits, again, counts, here.late)
    is_detour = (here.test.p_adjusted <= alpha) & ((joint_draws > 0).mean(axis=0) >= 1 - alpha)
    picked = Excess(*(np.take_along_axis(part, drawn[:, :, None], axis=1) for part in again))
    resampled = studentized(here.scores[drawn], picked)
    visited = here.visits.visited
    return Evidence(
        here.test,
        marginal_delays(data.times, data.observed, visited, np.ones((1, n)))[0],
        marginal_delays(data.times, data.observed, visited, counts),
        here.joint,
        joint_draws,
        is_detour,
        ((resampled >= here.test.critical) & (joint_draws > 0)).mean(axis=0),
    )


def again_detours(data: Prepared, alpha: float, permutations: int, seed: int) -> Int[np.ndarray, " _"]:
    """Return the states with an adjusted p of at most alpha and a joint delay above 0 in these runs."""
    if not len(data.tested):
        return data.tested
    here = _itself(data, permutations, alpha, seed)
    return data.tested[(here.test.p_adjusted <= alpha) & (here.joint > 0)]


def _itself(data: Prepared, permutations: int, alpha: float, seed: int) -> _Itself:
    tested = data.tested
    here = data.visits._replace(
        visited=data.visits.visited[:, tested],
        entries=data.visits.entries[:, tested],
        exposure=data.visits.exposure[:, tested],
    )
    itself = np.ones((1, len(data.times)))
    excess = beyond_exposure(here, itself)
    scores = log_rank_scores(data.times, data.observed)
    test = randomize(scores, excess, permutations, alpha, seed)
    restricted = pseudo_values(data.times, data.observed, float(data.times.max()))
    # Only a state whose visitors are late can be to blame. One that early runs reach follows from their
    # being early: held fixed, it would hide what made the others late.
    states = np.arange(len(tested))
    late = [np.flatnonzero((test.statistic > 0) | (states == k)) for k in states]
    joint = _joint(restricted, here, excess, itself, late)[0]
    return _Itself(here, scores, test, restricted, late, joint)


def _joint(
    restricted: Float[np.ndarray, " runs"],
    here: Visits,
    excess: Excess,
    counts: Float[np.ndarray, "draws runs"],
    late: list[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, "draws tested"]:
    """Return the joint delay of each state beside the states that are late."""
    found = np.empty((len(counts), len(late)))
    for k, kept in enumerate(late):
        delays = joint_delays(restricted, here.visited[:, kept], excess.visits[:, :, kept], counts)
        found[:, k] = delays[:, np.flatnonzero(kept == k)[0]]
    return found
