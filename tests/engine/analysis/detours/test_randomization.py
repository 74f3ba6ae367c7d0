import itertools

import numpy as np
import pytest

from engine.analysis.detours.randomization import randomize, studentized
from engine.analysis.detours.visits import Excess
from engine.analysis.survival import log_rank, log_rank_scores


def equal_exposure(visited: np.ndarray) -> Excess:
    """[runs, states] of 0 and 1 behind forks that every run passes once."""
    share = visited.mean(axis=0)
    return Excess((visited - share)[None], np.broadcast_to(share * (1 - share), visited.shape)[None])


def test_with_equal_exposure_it_is_the_permutation_test_of_the_log_rank_score() -> None:
    times = np.array([3.0, 5, 5, 8, 9, 12, 14, 15])
    observed = np.array([True, True, True, False, True, True, True, False])
    visited = np.array([0, 0, 1, 0, 0, 1, 1, 1], dtype=float)
    late = [
        log_rank(times, observed, np.isin(np.arange(8), subset))
        for subset in itertools.combinations(range(8), 4)
    ]
    seen = log_rank(times, observed, visited > 0)
    exact = np.mean([one.expected - one.observed >= seen.expected - seen.observed - 1e-9 for one in late])
    drawn = randomize(log_rank_scores(times, observed), equal_exposure(visited[:, None]), 20_000, 0.05, 0)
    assert drawn.p[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))
    assert drawn.p_adjusted[0] == drawn.p_bh[0] == drawn.p[0]


def test_the_statistic_is_the_correlation_times_the_root_of_n() -> None:
    rng = np.random.default_rng(0)
    scores, visited = rng.normal(size=20), (rng.random(20) < 0.4).astype(float)
    found = studentized(scores[None], equal_exposure(visited[:, None]))[0, 0]
    assert found == pytest.approx(np.corrcoef(scores, visited)[0, 1] * np.sqrt(20))


def test_max_t_and_the_critical_value_by_looking() -> None:
    rng = np.random.default_rng(1)
    scores, visited = rng.normal(size=15), (rng.random((15, 3)) < 0.5).astype(float)
    visited[:, 2] = scores > np.sort(scores)[8]
    excess = equal_exposure(visited)
    found = randomize(scores, excess, 600, 0.1, 7)
    generator = np.random.default_rng([7, 1])
    drawn = [
        [studentized(order[None], Excess(*(part[:, :, [k]] for part in excess)))[0, 0] for k in range(3)]
        for block in (500, 100)
        for order in generator.permuted(np.tile(scores, (block, 1)), axis=1)
    ]
    largest = np.max(drawn, axis=1)
    for k in range(3):
        own = found.statistic[k] - 1e-9
        assert found.p[k] == pytest.approx((1 + np.sum(np.array(drawn)[:, k] >= own)) / 601)
        assert found.p_adjusted[k] == pytest.approx((1 + np.sum(largest >= own)) / 601)
        assert (found.p_adjusted[k] <= 0.1) == (found.statistic[k] >= found.critical)
    assert found.p_adjusted[2] <= 0.1 < found.p_adjusted.max()
    assert (found.p <= found.p_bh).all()


def test_p_is_never_zero_and_a_state_without_spread_says_nothing() -> None:
    scores = np.arange(12.0)
    visited = np.stack([scores > 5, np.zeros(12)], axis=1).astype(float)
    found = randomize(scores, equal_exposure(visited), 99, 0.05, 0)
    assert found.p[0] == 0.01
    assert (found.statistic[1], found.p[1]) == (0, 1)
