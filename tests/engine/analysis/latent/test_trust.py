import numpy as np
import pytest

from engine.analysis.latent import fit
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.trust import mean_entropy, residual_autocorrelation

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
    selection = fit(runs, [*NAMES, "flat"], n_states=[2, 3], restarts=3, normalize="pooled", held_out=[0, 1])
    text = "\n".join(selection.trust.warnings)
    assert "2 runs cut at the first value" in text
    assert "run 2 at row 50 (d = inf)" in text
    assert "run 5 at row 2 (a = 1e+30)" in text
    assert "1 run left out, with fewer than 5 usable rows: 5." in text
    assert "1 metric left out: flat, constant over all training runs." in text
    assert "visited by a single run" in text


def test_smooth_noise_and_too_few_states_are_told(chains) -> None:
    rng = np.random.default_rng(0)
    smooth = [np.cumsum(rng.normal(size=(100, 3)), axis=0) for _ in range(6)]
    warnings = fit(smooth, ["a", "b", "c"], n_states=[1, 2], restarts=2).trust.warnings
    assert any("neighbouring rows still correlate" in each for each in warnings)
    assert any("the most that were tried" in each for each in warnings)


def test_a_rule_more_cautious_than_the_paired_evidence_is_told(chains) -> None:
    # Runs differ more from one another than three states do from four: 3 is within one standard error of
    # the highest, yet every held-out run prefers more.
    trust = fit(chains(4).runs, NAMES, n_states=[3, 4, 5], restarts=4).trust
    assert any(each.startswith("Run by run, 5 states beat the chosen 3 by 0.17") for each in trust.warnings)


def test_a_metric_resting_on_the_floor_is_told() -> None:
    rng = np.random.default_rng(0)
    runs = []
    for _ in range(6):
        run = rng.normal(size=(60, 2))
        run[:, 1] = (np.arange(60) >= 30) + 1e-4 * run[:, 1]
        runs.append(run)
    warnings = fit(runs, ["noise", "jump"], n_states=[2], restarts=3).trust.warnings
    assert any("variances rest on the floor" in each for each in warnings)
