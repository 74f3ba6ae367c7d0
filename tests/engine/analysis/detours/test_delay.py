import numpy as np
import pytest

from engine.analysis.detours.delay import joint_delays, marginal_delays
from engine.analysis.survival import restricted_mean


def sample(seed: int, n: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    visited = rng.random((n, 3)) < 0.5
    event, end = 10 + 5 * visited[:, 0] + rng.integers(0, 9, n), rng.integers(12, 40, n)
    return np.minimum(event, end).astype(float), event <= end, visited


@pytest.mark.parametrize("seed", range(4))
def test_marginal_delay_of_data_and_of_a_resample_is_a_difference_of_restricted_means(seed: int) -> None:
    times, observed, visited = sample(seed)
    drawn = np.random.default_rng(seed).integers(30, size=30)
    counts = np.stack([np.ones(30), np.bincount(drawn, minlength=30)])
    found = marginal_delays(times, observed, visited, counts)
    for state in range(3):
        sides = [visited[:, state], ~visited[:, state]]
        ends = []
        for side in sides:
            last = times[side].max()
            ends.append(np.inf if observed[side & (times == last)].all() else last)
        horizon = min(*ends, times.max())
        for row, pick in enumerate((np.arange(30), drawn)):
            means = [
                restricted_mean(times[pick][side[pick]], observed[pick][side[pick]], horizon).mean
                for side in sides
            ]
            assert found[row, state] == pytest.approx(means[0] - means[1])


def test_a_resample_without_visitors_has_no_delay() -> None:
    found = marginal_delays(
        np.array([1.0, 2.0]), np.ones(2, dtype=bool), np.array([[True], [False]]), np.array([[0.0, 2.0]])
    )
    assert np.isnan(found).all()


def test_joint_delay_with_equal_exposure_is_least_squares() -> None:
    times, _, visited = sample(1)
    counts = np.bincount(np.random.default_rng(0).integers(30, size=30), minlength=30).astype(float)
    weights = np.stack([np.ones(30), counts])
    excess = visited[None] - np.einsum("br,rk->bk", weights, visited)[:, None] / 30
    found = joint_delays(times, visited, excess, weights)
    for row, each in zip(found, weights, strict=True):
        design = np.column_stack([np.ones(30), visited])
        root = np.sqrt(each)[:, None]
        expected = np.linalg.lstsq(root * design, root[:, 0] * times, rcond=None)[0][1:]
        assert row == pytest.approx(expected)


def test_joint_delay_solves_its_equation_with_unequal_exposure() -> None:
    times, _, visited = sample(2)
    excess = visited - np.random.default_rng(3).uniform(0.2, 0.8, visited.shape)
    found = joint_delays(times, visited, excess[None], np.ones((1, 30)))[0]
    left = times - times.mean() - (visited - visited.mean(axis=0)) @ found
    assert excess.T @ left == pytest.approx(0, abs=1e-9)


def test_states_with_the_same_visitors_share_the_delay() -> None:
    times, _, visited = sample(3)
    alone = visited[:, :1]
    twice = np.column_stack([alone, alone])
    one = joint_delays(times, alone, (alone - alone.mean(axis=0))[None], np.ones((1, 30)))[0]
    two = joint_delays(times, twice, (twice - twice.mean(axis=0))[None], np.ones((1, 30)))[0]
    assert two == pytest.approx([one[0] / 2, one[0] / 2])
