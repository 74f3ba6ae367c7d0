"""Do visitors converge later than chance would have them: permutations over runs, all states at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from engine.analysis.detours.visits import Excess


class Randomized(NamedTuple):
    """Permutation test of several states at once, one-sided: visitors later.

    Attributes:
        statistic: of each state: log-rank scores against visits beyond exposure, `studentized`.
        p: per state, by itself.
        p_adjusted: for the largest statistic of all states (max-T): the chance of one false detour or more.
        p_bh: Benjamini & Hochberg: the share of false ones among states with a value this small.
        critical: the statistic that a state must reach at level alpha by max-T.
    """

    statistic: Float[np.ndarray, " states"]
    p: Float[np.ndarray, " states"]
    p_adjusted: Float[np.ndarray, " states"]
    p_bh: Float[np.ndarray, " states"]
    critical: float


def studentized(scores: Float[np.ndarray, "draws runs"], excess: Excess) -> Float[np.ndarray, "draws states"]:
    """Return the sum of a x over the root of the sum of a^2 v, of centred scores a, excess x, variance v.

    The variance expected, not the one seen: late runs that by chance did not visit would make the latter
    small just when the statistic is large. With equal exposure this is the correlation of score and visit.
    0 where either does not vary.

    Source:
        Andersen, Borgan, Gill & Keiding 1993, section II.4 (predictable variation).
    """
    a = scores - scores.mean(axis=1, keepdims=True)
    x = excess.visits - excess.visits.mean(axis=1, keepdims=True)
    scale = np.sqrt(np.einsum("br,brk->bk", a**2, excess.variance))
    usable = scale > 1e-9
    ratio: Float[np.ndarray, "draws states"] = np.where(
        usable, np.einsum("br,brk->bk", a, x) / np.where(usable, scale, 1.0), 0.0
    )
    return ratio


def randomize(
    scores: Float[np.ndarray, " runs"], excess: Excess, permutations: int, alpha: float, seed: int
) -> Randomized:
    """Test all states by giving each run's visits to another run; a run's visits stay together.

    Args:
        scores: log-rank scores of the times of convergence; late runs score high.
        excess: of one draw, the data itself.
        permutations: drawn; the data itself counts as one more.
        alpha: level of `critical`.
        seed: of the permutations.

    Source:
        Phipson & Smyth 2010 (+1); Westfall & Young 1993, section 2.3 (single-step max-T); Benjamini &
        Hochberg 1995.
    """
    rng = np.random.default_rng([seed, 1])
    drawn = np.empty((permutations, excess.visits.shape[2]))
    for first in range(0, permutations, 500):
        rows = np.tile(scores, (min(500, permutations - first), 1))
        drawn[first : first + 500] = studentized(rng.permuted(rows, axis=1), excess)
    observed = studentized(scores[None], excess)[0]
    tolerance = 1e-9
    p = (1 + (drawn >= observed - tolerance).sum(axis=0)) / (permutations + 1)
    largest = np.append(drawn.max(axis=1), observed.max())
    adjusted = (largest[:, None] >= observed - tolerance).mean(axis=0)
    critical = float(np.quantile(largest, 1 - alpha, method="higher"))
    return Randomized(observed, p, adjusted, stats.false_discovery_control(p), critical)
