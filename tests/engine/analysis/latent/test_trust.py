from typing import Any

import numpy as np
import pytest

from engine.analysis.decorrelation import advised_thinning, decorrelation
from engine.analysis.latent import Candidate, Rival, fit
from engine.analysis.latent.estimation import Estimate
from engine.analysis.latent.model import decode_rows
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.trust import (
    doubts_about_fit,
    doubts_about_model,
    mean_entropy,
    path_agreements,
    residual_autocorrelation,
)

NAMES = ["a", "b", "c", "d", "e"]


def test_entropy_by_hand() -> None:
    posteriors = [np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([[0.9, 0.1]])]
    each = [0.0, np.log(2), -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))]
    assert mean_entropy(posteriors) == pytest.approx(np.mean(each) / np.log(2))
    assert mean_entropy([np.ones((3, 1))]) == 0.0


def test_autocorrelation_pair_by_pair(tiny) -> None:
    parameters, runs = tiny
    rng = np.random.default_rng(0)
    paths = [rng.integers(0, 2, size=len(run)) for run in runs]
    expected = []
    for metric in range(2):
        products, earlier, later = [], [], []
        for run, path in zip(runs, paths, strict=True):
            for t in range(len(run) - 1):
                if path[t] == path[t + 1]:
                    covar = parameters.covars[path[t]]
                    sd = np.sqrt(covar[metric] if covar.ndim == 1 else covar[metric, metric])
                    x = (run[t, metric] - parameters.means[path[t], metric]) / sd
                    y = (run[t + 1, metric] - parameters.means[path[t], metric]) / sd
                    products.append(x * y)
                    earlier.append(x * x)
                    later.append(y * y)
        expected.append(sum(products) / np.sqrt(sum(earlier) * sum(later)))
    np.testing.assert_allclose(residual_autocorrelation(parameters, runs, paths), expected)


@pytest.mark.parametrize("phi", [0.0, 0.7])
def test_autocorrelation_finds_the_coefficient_of_an_autoregression(phi) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 1))
    for t in range(1, 4000):
        noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi**2) * noise[t]
    one = Parameters(np.ones(1), np.ones((1, 1)), np.zeros((1, 1)), np.ones((1, 1)))
    found = residual_autocorrelation(one, [noise], [np.zeros(4000, dtype=int)])
    assert found[0] == pytest.approx(phi, abs=0.05)


def test_too_few_pairs_say_nothing(tiny) -> None:
    parameters, runs = tiny
    assert np.isnan(residual_autocorrelation(parameters, [runs[1]], [np.zeros(1, dtype=int)])).all()


def test_a_sound_fit_has_nothing_to_warn_of(chains) -> None:
    trust = fit(chains(2).runs, NAMES, n_states=[1, 2, 3], restarts=4, normalize="pooled").trust
    assert trust.warnings == ()
    assert np.abs(trust.autocorrelation).max() < 0.1
    assert trust.entropy < 0.2
    assert trust.occupancy.sum() == pytest.approx(1)
    assert trust.restart_hits == 4
    assert trust.restart_spread < 1e-3


def test_warnings_name_what_happened(chains) -> None:
    rng = np.random.default_rng(0)
    runs = [np.column_stack([run, np.full(len(run), 2.0)]) for run in chains(3, n_runs=8).runs]
    runs[2][50:, 3] = np.inf
    runs[5][2, 0] = 1e30
    runs.append(np.column_stack([rng.normal(size=(60, 5)), np.full(60, 2.0)]))
    runs[-1][20:40, 0] += 500.0
    selection = fit(runs, [*NAMES, "flat"], n_states=[2, 3], restarts=3, normalize="pooled")
    text = "\n".join(selection.trust.warnings)
    assert "2 runs cut at the first value" in text
    assert "run 2 at row 50 (d = inf)" in text
    assert "run 5 at row 2 (a = 1e+30)" in text
    assert "1 run left out, with fewer than 5 usable rows: 5." in text
    assert "1 metric left out: flat, constant over all runs." in text
    assert "visited by a single run" in text


def test_smooth_noise_and_too_few_states_are_told(chains) -> None:
    rng = np.random.default_rng(0)
    smooth = [np.cumsum(rng.normal(size=(100, 3)), axis=0) for _ in range(6)]
    warnings = fit(smooth, ["a", "b", "c"], n_states=[1, 2], restarts=2).trust.warnings
    assert any("neighbouring rows still correlate" in each for each in warnings)
    assert any("the most that were tried" in each for each in warnings)


def candidate(n_states: int, **changes: Any) -> Candidate:
    given = {
        "heldout_loglik": -1.0,
        "heldout_se": 0.1,
        "heldout_logliks": (),
        "shortfall": 0.0,
        "shortfall_se": 0.0,
        "train_loglik": -1.0,
        "bic": 0.0,
        "parameters": 1,
        "best_restart_hits": 2,
        "restart_logliks": (-1.0, -1.0),
        "converged": 2,
    }
    return Candidate(n_states=n_states, **given | changes)


def climb(tiny: Parameters, **changes: Any) -> Estimate:
    return Estimate(
        **{"parameters": tiny, "loglik": -100.0, "steps": 9, "converged": True, "fell": 0.0} | changes
    )


def test_doubts_about_a_search_by_hand(tiny) -> None:
    parameters, _ = tiny
    chosen = candidate(
        2,
        shortfall=0.17,
        shortfall_se=0.05,
        best_restart_hits=1,
        converged=1,
    )
    tried = {
        2: [climb(parameters, fell=1.0), climb(parameters)],
        3: [climb(parameters), climb(parameters, parameters=None, loglik=float("-inf"))],
    }
    doubts = doubts_about_fit((chosen, candidate(3)), chosen, tried)
    for begin in (
        "Run by run, 3 states beat the chosen 2 by 0.17",
        "Only one of 2 restarts reached the best",
        "1 restart of 2 had not converged",
        "1 restart with 3 states ended in values that are not finite",
        "The likelihood fell during EM",
    ):
        assert sum(each.startswith(begin) for each in doubts) == 1, begin
    assert len(doubts) == 5
    sound = {k: [climb(parameters), climb(parameters)] for k in (2, 3)}
    assert doubts_about_fit((candidate(2), candidate(3)), candidate(2), sound) == []


def test_agreement_of_restarts_by_hand(tiny) -> None:
    """A renamed copy agrees wholly; a model of one dominant state only where that state is."""
    parameters, runs = tiny
    paths = decode_rows(parameters, runs).paths
    renamed = parameters.permuted(np.array([2, 0, 1]))
    stuck = Parameters(
        np.array([1.0, 0.0, 0.0]), np.eye(3), parameters.means, parameters.covars, parameters.tied
    )
    climbs = [climb(stuck, loglik=-120.0), climb(parameters), climb(renamed, loglik=-100.1)]
    climbs.append(climb(parameters, parameters=None, loglik=float("-inf")))
    first, second = path_agreements(climbs, runs, paths, 3)
    assert first == (pytest.approx(0.01), 1.0)
    assert second.shortfall == pytest.approx(2.0)
    together = np.concatenate(paths)
    assert second.agreement == pytest.approx(np.bincount(together).max() / len(together))


def test_unsure_states_and_short_runs_are_told(chains) -> None:
    selection = fit([*chains(3, n_runs=6).runs, chains(3).runs[0][:5]], NAMES, n_states=[6], restarts=2)
    model = selection.best
    rivals = (Rival(1e-5, 0.7), Rival(0.5, 0.1))
    doubts = doubts_about_model(model, [], [], np.zeros(5), rivals)
    assert any("puts 30% of the rows in other states" in each for each in doubts)
    assert not any(
        "other states" in each for each in doubts_about_model(model, [], [], np.zeros(5), rivals[1:])
    )
    assert any(
        each.startswith("1 run with fewer rows than the 6 states") for each in selection.trust.warnings
    )


def test_decorrelation_of_an_autoregression() -> None:
    for r in (0.35, 0.7, 0.95):
        n = decorrelation(r)
        assert r**n <= 0.2 < r ** (n - 1) or n == 2
    assert decorrelation(1.0) > 1000


def test_a_metric_resting_on_the_floor_is_told() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(6):
        run = rng.normal(size=(60, 2))
        run[:, 1] = (np.arange(60) >= 30) + 1e-4 * run[:, 1]
        runs.append(run)
    warnings = fit(runs, ["noise", "jump"], n_states=[2], restarts=3).trust.warnings
    assert any("variances rest on the floor" in each for each in warnings)


def test_thinning_is_advised_where_it_leaves_enough_rows() -> None:
    apart = decorrelation(0.7)
    assert apart > 1
    assert advised_thinning(0.7, 30 * apart) == apart
    assert advised_thinning(0.7, 30 * apart - 1) is None
