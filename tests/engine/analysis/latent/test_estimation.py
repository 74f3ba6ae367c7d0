import itertools

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy import stats

from engine.analysis.latent import estimation
from engine.analysis.latent.estimation import PSEUDOCOUNT, FlooredHMM, estimate
from engine.analysis.latent.parameters import (
    COVARIANCE_FLOOR,
    Parameters,
    count_parameters,
    floored,
    log_densities,
)
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.starts import start


def test_densities_are_scipys(tiny) -> None:
    parameters, runs = tiny
    found = log_densities(parameters, runs[0])
    for k, (mean, covar) in enumerate(zip(parameters.means, parameters.covars, strict=True)):
        covar = np.diag(covar) if covar.ndim == 1 else covar
        np.testing.assert_allclose(found[:, k], stats.multivariate_normal.logpdf(runs[0], mean, covar))


def test_e_step_is_the_sum_over_every_path(tiny, enumerated) -> None:
    parameters, runs = tiny
    X, lengths = stack(runs)
    found, loglik = FlooredHMM(parameters)._do_estep(X, lengths)
    answers = [enumerated(parameters, run) for run in runs]
    assert loglik == pytest.approx(sum(answer.loglik for answer in answers), rel=1e-12)
    posterior = np.concatenate([answer.posterior for answer in answers])
    np.testing.assert_allclose(found["start"], sum(answer.posterior[0] for answer in answers), rtol=1e-10)
    np.testing.assert_allclose(found["post"], posterior.sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found["obs"], posterior.T @ X, rtol=1e-9, atol=1e-12)


def test_e_step_is_hmmlearns_in_logarithms(tiny) -> None:
    parameters, runs = tiny
    X, lengths = stack(runs)
    theirs = GaussianHMM(3, covariance_type=parameters.covariance, implementation="log")
    theirs.n_features = 2
    theirs.startprob_, theirs.transmat_, theirs.means_ = (
        parameters.startprob,
        parameters.transmat,
        parameters.means,
    )
    theirs.covars_ = parameters.covars[0] if parameters.tied else parameters.covars
    expected, expected_loglik = theirs._do_estep(X, lengths)
    found, loglik = FlooredHMM(parameters)._do_estep(X, lengths)
    assert loglik == pytest.approx(expected_loglik, rel=1e-12)
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_e_step_is_hmmlearns_on_long_runs_and_wide_blocks(chains, monkeypatch) -> None:
    runs = chains(4, n_runs=3, n_steps=300, n_metrics=14).runs
    X, lengths = stack(runs)
    begun = start(X, lengths, 4, "full", 0, 0)
    theirs = GaussianHMM(4, covariance_type="full", implementation="log", init_params="")
    theirs.startprob_, theirs.transmat_, theirs.means_ = begun.startprob, begun.transmat, begun.means
    theirs.n_features = 14
    theirs.covars_ = begun.covars
    expected, expected_loglik = theirs._do_estep(X, lengths)
    monkeypatch.setattr(estimation, "_BLOCK", 128)
    for kept in (0, 2**28):
        monkeypatch.setattr(estimation, "_KEPT_BYTES", kept)
        model = FlooredHMM(begun)
        for _ in range(2):  # the second pass meets the statistics that the first one kept
            found, loglik = model._do_estep(X, lengths)
            assert loglik == pytest.approx(expected_loglik, rel=1e-12)
            for name in expected:
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-9, err_msg=name)


def test_a_run_whose_likeliest_state_cannot_be_reached_is_done_in_logarithms(chains, monkeypatch) -> None:
    """From left to right the first state is lost for good; scaled densities of the last row are then 0."""
    begun = Parameters(
        np.array([0.5, 0.5]),
        np.array([[0.9, 0.1], [0.0, 1.0]]),
        np.array([[0.0], [90.0]]),
        np.ones((2, 1)),
    )
    X = np.array([[0.0], [90.0], [0.0], [0.0], [0.0]])
    lengths = np.array([3, 2])
    used = []
    fallback = estimation._in_logarithms
    monkeypatch.setattr(
        estimation, "_in_logarithms", lambda *given: used.append(len(given[2])) or fallback(*given)
    )
    found, loglik = FlooredHMM(begun)._do_estep(X, lengths)
    assert used == [3]
    theirs = GaussianHMM(2, implementation="log", init_params="")
    theirs.startprob_, theirs.transmat_, theirs.means_ = begun.startprob, begun.transmat, begun.means
    theirs.n_features = 1
    theirs.covars_ = begun.covars
    expected, expected_loglik = theirs._do_estep(X, lengths)
    assert loglik == pytest.approx(expected_loglik, rel=1e-12)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_a_forbidden_transition_stays_forbidden(chains, covariance) -> None:
    X, lengths = stack(chains(3, n_runs=6).runs)
    begun = start(X, lengths, 3, covariance, 2, 0, "left-to-right")
    found = estimate(X, lengths, begun)
    assert (found.parameters.transmat[np.tril_indices(3, -1)] == 0).all()
    np.testing.assert_allclose(found.parameters.transmat.sum(axis=1), 1)
    assert found.parameters.covariance == covariance
    assert found.loglik > estimate(X, lengths, begun, max_steps=1).loglik
    assert found.fell < 1e-6 * abs(found.loglik)


def test_rows_far_from_every_state_do_not_underflow(chains) -> None:
    X, lengths = stack([*chains(2, n_runs=2).runs, np.full((3, 5), 1e4)])
    parameters = Parameters(
        np.array([0.5, 0.5]), np.array([[0.9, 0.1], [0.1, 0.9]]), np.zeros((2, 5)), np.full((2, 5), 0.01)
    )
    found = estimate(X, lengths, parameters)
    assert found.parameters is not None
    assert np.isfinite(found.loglik)


def test_em_climbs_and_says_whether_it_converged(chains) -> None:
    X, lengths = stack(chains(3, n_runs=6).runs)
    begun = start(X, lengths, 3, "diag", 1, 0)
    whole, short = estimate(X, lengths, begun), estimate(X, lengths, begun, max_steps=3)
    assert whole.converged
    assert not short.converged  # hmmlearn's own monitor says it did
    assert short.steps == 3
    assert whole.loglik > short.loglik
    assert whole.fell < 1e-6


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_ends_where_no_small_step_climbs(chains, covariance) -> None:
    X, lengths = stack(chains(2, n_runs=6, n_metrics=2).runs)
    found = estimate(X, lengths, start(X, lengths, 2, covariance, 0, 0), tolerance=1e-12)

    def objective(parameters: Parameters) -> float:
        model = FlooredHMM(parameters)
        return model._compute_lower_bound(model._do_estep(X, lengths)[1])

    best = found.parameters
    top = objective(best)
    for index in np.ndindex(best.means.shape):
        for step in (-0.01, 0.01):
            means = best.means.copy()
            means[index] += step
            assert objective(Parameters(best.startprob, best.transmat, means, best.covars)) < top
    for factor in (0.97, 1.03):
        assert objective(Parameters(best.startprob, best.transmat, best.means, best.covars * factor)) < top


def test_one_state_is_the_mean_and_the_variance(chains) -> None:
    X, lengths = stack(chains(2, n_runs=3).runs)
    found = estimate(X, lengths, start(X, lengths, 1, "diag", 0, 0)).parameters
    np.testing.assert_allclose(found.means[0], X.mean(axis=0))
    np.testing.assert_allclose(found.covars[0], X.var(axis=0))


def test_transition_frequencies_of_well_separated_states(chains) -> None:
    runs, paths = chains(3, n_runs=8, apart=60.0)
    X, lengths = stack(runs)
    found = estimate(X, lengths, start(X, lengths, 3, "diag", 0, 0))
    order = np.argmin(
        (
            (
                found.parameters.means[:, None]
                - np.array([X[np.concatenate(paths) == k].mean(0) for k in range(3)])
            )
            ** 2
        ).sum(axis=2),
        axis=0,
    )
    counts = np.full((3, 3), PSEUDOCOUNT)
    for path in paths:
        for now, then in itertools.pairwise(path):
            counts[now, then] += 1
    expected = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.parameters.permuted(order).transmat, expected, rtol=1e-6)


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_a_state_that_nothing_visits_stays_finite(covariance) -> None:
    X = np.random.default_rng(0).normal(size=(50, 2))
    covars = np.ones((2, 2)) if covariance == "diag" else np.stack([np.eye(2)] * 2)
    far = Parameters(
        np.array([0.5, 0.5]),
        np.full((2, 2), 0.5),
        np.array([[0.0, 0.0], [1e5, 1e5]]),
        covars,
        covariance == "tied",
    )
    found = estimate(X, np.array([50]), far)
    assert found.parameters is not None
    spread = X.var(axis=0) if covariance == "diag" else np.cov(X, rowvar=False, bias=True)
    np.testing.assert_allclose(found.parameters.covars[0], spread, rtol=1e-6)
    np.testing.assert_array_equal(found.parameters.means[1], [1e5, 1e5])


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_collinear_rows_rest_on_the_floor(covariance) -> None:
    column = np.random.default_rng(0).normal(size=60)
    X = np.stack([column, column, np.zeros(60)], axis=1)
    found = estimate(X, np.array([60]), start(X, np.array([60]), 2, covariance, 0, 0)).parameters
    least = found.covars if covariance == "diag" else np.linalg.eigvalsh(found.covars)
    assert least.min() == pytest.approx(COVARIANCE_FLOOR, rel=1e-6)


def test_floor_leaves_sound_covariances_alone(tiny) -> None:
    parameters, _ = tiny
    np.testing.assert_allclose(floored(parameters.covars), parameters.covars, rtol=1e-12)


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
@pytest.mark.parametrize("topology", ["ergodic", "left-to-right"])
@pytest.mark.parametrize(("n_states", "n_features"), [(1, 1), (2, 3), (4, 14), (8, 2)])
def test_parameter_count_by_counting(covariance, topology, n_states, n_features) -> None:
    free = 0
    free += len(range(n_states)) - 1  # start: sums to 1
    for state in range(n_states):
        allowed = [to for to in range(n_states) if topology == "ergodic" or to >= state]
        free += len(allowed) - 1  # a row of transitions: sums to 1
        free += n_features  # mean
        shape = np.ones((n_features, n_features))
        if covariance != "tied" or state == 0:
            free += len(np.diagonal(shape)) if covariance == "diag" else len(np.triu_indices_from(shape)[0])
    assert count_parameters(n_states, n_features, covariance, topology) == free


def test_renaming_states_keeps_the_likelihood(tiny) -> None:
    parameters, runs = tiny
    X, lengths = stack(runs)
    renamed = parameters.permuted(np.array([2, 0, 1]))
    assert FlooredHMM(renamed)._do_estep(X, lengths)[1] == pytest.approx(
        FlooredHMM(parameters)._do_estep(X, lengths)[1]
    )
