import numpy as np
import pytest

from engine.analysis.latent.preparation import stack
from engine.analysis.latent.starts import KINDS, start


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
@pytest.mark.parametrize("topology", ["ergodic", "left-to-right"])
@pytest.mark.parametrize("n_states", [1, 2, 7])
def test_every_start_is_a_model(chains, covariance, topology, n_states) -> None:
    X, lengths = stack(chains(2, n_runs=3, n_steps=20).runs)
    allowed = np.ones((n_states, n_states), dtype=bool)
    if topology == "left-to-right":
        allowed = np.triu(allowed)
    for restart in range(8):
        found = start(X, lengths, n_states, covariance, restart, 0, topology)
        assert found.covariance == covariance
        assert found.startprob.sum() == pytest.approx(1)
        np.testing.assert_allclose(found.transmat.sum(axis=1), 1)
        np.testing.assert_array_equal(found.transmat > 0, allowed)  # EM could never leave a zero
        assert (found.startprob > 0).all()
        variances = found.covars if covariance == "diag" else np.linalg.eigvalsh(found.covars)
        assert (variances > 0).all()
        if covariance == "tied":
            assert (found.covars == found.covars[0]).all()


def test_restarts_differ_and_repeat(chains) -> None:
    X, lengths = stack(chains(3, n_runs=4).runs)
    means = [start(X, lengths, 3, "diag", restart, 5).means for restart in range(12)]
    again = [start(X, lengths, 3, "diag", restart, 5).means for restart in range(12)]
    np.testing.assert_array_equal(means, again)
    for kind in ("random", "segments"):
        assert len({each.tobytes() for each in means[KINDS.index(kind) :: 4]}) == 3
    assert means[0].tobytes() != start(X, lengths, 3, "diag", 3, 6).means.tobytes()


def test_sticky_k_means_is_k_means_that_stays(chains) -> None:
    X, lengths = stack(chains(3, n_runs=4, n_steps=60).runs)
    plain, sticky = (start(X, lengths, 3, "diag", restart, 0) for restart in (0, 1))
    np.testing.assert_array_equal(plain.means, sticky.means)
    np.testing.assert_allclose(plain.transmat, 1 / 3)
    np.testing.assert_allclose(plain.covars, np.repeat([X.var(axis=0)], 3, axis=0))
    assert (sticky.covars.mean(axis=0) < plain.covars[0]).all()  # within clusters, not over all rows
    # 60 rows in 3 states: 20 each
    np.testing.assert_allclose(sticky.transmat, np.full((3, 3), 0.025) + np.eye(3) * 0.925)


def test_left_to_right_begins_with_the_state_that_comes_first() -> None:
    runs = [np.repeat([5.0, 1.0, 9.0], 8)[:, None] + 0.01 * np.arange(24)[:, None] for _ in range(3)]
    X, lengths = stack(runs)
    for restart in range(3):
        means = start(X, lengths, 3, "diag", restart, 0, "left-to-right").means[:, 0]
        np.testing.assert_allclose(means, [5.035, 1.115, 9.195])


def test_kmeans_finds_clusters_that_are_far_apart(chains) -> None:
    runs, paths = chains(4, n_runs=6, apart=40.0)
    X, lengths = stack(runs)
    path = np.concatenate(paths)
    expected = np.array([X[path == k].mean(axis=0) for k in range(4)])
    found = start(X, lengths, 4, "diag", 0, 0).means
    distance = np.abs(found[:, None] - expected).max(axis=2)
    assert sorted(distance.argmin(axis=1)) == [0, 1, 2, 3]
    assert distance.min(axis=1).max() < 1e-9


def test_segments_cut_every_run_evenly() -> None:
    runs = [np.repeat([1.0, 2.0, 3.0], 4)[:, None], np.repeat([1.0, 2.0, 3.0], 2)[:, None]]
    X, lengths = stack(runs)
    found = start(X, lengths, 3, "diag", KINDS.index("segments"), 0)
    np.testing.assert_allclose(found.means[:, 0], [1, 2, 3])
    # 2 runs + 1 for each count; inside a stretch 3 + 1 stays, 2 steps to the next, none across runs
    np.testing.assert_allclose(found.startprob, [3 / 5, 1 / 5, 1 / 5])
    np.testing.assert_allclose(found.transmat[0], [5 / 9, 3 / 9, 1 / 9])
    np.testing.assert_allclose(found.transmat[2], [1 / 7, 1 / 7, 5 / 7])


def test_equal_rows_can_be_started_on() -> None:
    X = np.zeros((10, 2))
    for restart in range(4):
        assert np.isfinite(start(X, np.array([10]), 3, "diag", restart, 0).covars).all()
