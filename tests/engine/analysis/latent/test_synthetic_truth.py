"""Runs through known states from left to right: are the states and their number found?"""

import numpy as np
import pytest

from benchmarks.latent_published import constructed
from engine.analysis.decorrelation import decorrelation
from engine.analysis.latent import fit, match

NAMES = list("abcdef")


def walks(
    n_states: int, n_runs: int, n_steps: int, apart: float, seed: int = 0, phi: float = 0.0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return runs that stay half to one and a half times as long as the others in each state in turn."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n_states, 6)) * apart / np.sqrt(12)
    runs, paths = [], []
    for _ in range(n_runs):
        shares = rng.uniform(0.5, 1.5, n_states)
        path = np.searchsorted(np.cumsum(shares / shares.sum())[:-1], (np.arange(n_steps) + 0.5) / n_steps)
        noise = rng.normal(size=(n_steps, 6))
        for t in range(1, n_steps):
            noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi**2) * noise[t]
        runs.append(means[path] + noise)
        paths.append(path)
    return runs, paths


@pytest.mark.slow
@pytest.mark.parametrize("n_states", [2, 3, 5])
def test_the_true_number_of_states_is_chosen(n_states) -> None:
    runs, paths = walks(n_states, 16, 80, apart=8.0)
    selection = fit(runs, NAMES, range(n_states - 1, n_states + 2), normalize="pooled", restarts=4)
    assert selection.best.n_states == n_states
    assert min(selection.table, key=lambda row: row.bic).n_states == n_states
    assert match(selection.best.paths, paths, n_states, n_states).agreement >= 0.99


@pytest.mark.slow
def test_no_fold_misses_the_optimum_where_states_differ_in_length() -> None:
    traces = constructed(0, 0.0, runs=32)
    assert traces.paths is not None
    found = fit(traces.runs, traces.metrics, [6, 7], normalize="pooled", restarts=4).best
    assert found.n_states == 6
    assert match(found.paths, traces.paths, 6, 6).agreement >= 0.99


def test_states_are_found_though_each_run_has_its_own_scale() -> None:
    runs, paths = walks(4, 16, 100, apart=12.0)
    rng = np.random.default_rng(1)
    scaled = [run * np.exp(rng.normal(size=6)) + 5 * rng.normal(size=6) for run in runs]
    selection = fit(scaled, NAMES, [4], normalize="per-run", restarts=4)
    assert match(selection.best.paths, paths, 4, 4).agreement >= 0.99


def test_smooth_noise_is_told_and_thinning_finds_the_true_number() -> None:
    runs, _ = walks(3, 12, 300, apart=6.0, phi=0.7)
    smooth = fit(runs, NAMES, [3, 4], normalize="pooled", restarts=4)
    assert smooth.best.n_states > 3
    typical = float(np.median(smooth.trust.autocorrelation))
    assert typical == pytest.approx(0.7, abs=0.05)
    every = decorrelation(typical)
    assert any(f"fit again with one row in {every}" in each for each in smooth.trust.warnings)
    thinned = fit(runs, NAMES, [2, 3, 4], normalize="pooled", restarts=4, every=every)
    assert thinned.best.n_states == 3
    assert not any("still correlate" in each for each in thinned.trust.warnings)
