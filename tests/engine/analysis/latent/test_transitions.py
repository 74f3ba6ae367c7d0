import numpy as np
import pytest
from scipy import integrate

from engine.analysis.latent import explain, fit
from engine.analysis.latent.model import filtered_probabilities
from engine.analysis.latent.transitions import filtered_gradient, jeffreys


def test_gradient_is_the_finite_difference_of_the_filtered_log_probability(tiny) -> None:
    parameters, (run, _, _) = tiny
    h = 1e-5
    for k in range(3):
        found = filtered_gradient(parameters, run, np.full(len(run), k))
        for t, metric in np.ndindex(run.shape):
            up, down = run.copy(), run.copy()
            up[t, metric] += h
            down[t, metric] -= h
            # p(s_t | z_1..t) knows only the rows up to t
            difference = (
                np.log(filtered_probabilities(parameters, up[: t + 1])[t, k])
                - np.log(filtered_probabilities(parameters, down[: t + 1])[t, k])
            ) / (2 * h)
            assert found[t, metric] == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_every_transition_is_counted_and_averaged(chains) -> None:
    runs, _ = chains(3, n_runs=6)
    model = fit(runs, ["a", "b", "c", "d", "e"], n_states=[3], restarts=3).best
    found = explain(model, runs)
    moments: dict[tuple[int, int], list[np.ndarray]] = {}
    for run, path in zip(runs, model.paths, strict=True):
        rows = model.scaling.apply(run)
        for t in range(1, len(path)):
            if path[t] != path[t - 1]:
                gradient = filtered_gradient(model.parameters, rows, np.full(len(rows), path[t]))[t]
                moments.setdefault((int(path[t - 1]), int(path[t])), []).append(gradient)
    assert {(each.source, each.target): each.count for each in found} == {
        pair: len(gradients) for pair, gradients in moments.items()
    }
    assert [each.count for each in found] == sorted((each.count for each in found), reverse=True)
    departures = {k: sum(len(v) for pair, v in moments.items() if pair[0] == k) for k in range(3)}
    for each in found:
        assert each.share == pytest.approx(each.count / departures[each.source])
        assert each.interval == jeffreys(each.count, departures[each.source])
        for run, row in each.moments:
            assert model.paths[run][row - 1] == each.source
            assert model.paths[run][row] == each.target
        gradients = np.array(moments[each.source, each.target])
        np.testing.assert_allclose(each.gradient, gradients.mean(axis=0))
        np.testing.assert_allclose(each.strength, np.abs(gradients).mean(axis=0))
        np.testing.assert_allclose(each.difference, model.means[each.target] - model.means[each.source])
        assert each.names == model.names


def test_the_metric_that_separates_two_states_drives_their_transition() -> None:
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(60, 3)) for _ in range(8)]
    for run in runs:
        run[rng.integers(20, 40) :, 1] += 6.0
    model = fit(runs, ["noise", "signal", "more noise"], n_states=[2], restarts=3).best
    (only,) = explain(model, runs)
    assert (only.source, only.target, only.count) == (0, 1, 8)
    assert np.argmax(only.strength) == np.argmax(only.difference) == 1
    assert only.gradient[1] != 0


def test_runs_that_never_move_have_nothing_to_explain(chains) -> None:
    runs, _ = chains(2, n_runs=4)
    model = fit(runs, ["a", "b", "c", "d", "e"], n_states=[1]).best
    assert explain(model, runs) == []


@pytest.mark.parametrize(("hits", "trials"), [(1, 9), (5, 10), (37, 40)])
def test_jeffreys_leaves_a_fortieth_on_either_side(hits, trials) -> None:
    low, high = jeffreys(hits, trials)

    def density(p: float) -> float:
        return p ** (hits - 0.5) * (1 - p) ** (trials - hits - 0.5)

    whole = integrate.quad(density, 0, 1)[0]
    assert integrate.quad(density, 0, low)[0] / whole == pytest.approx(0.025, rel=1e-5)
    assert integrate.quad(density, high, 1)[0] / whole == pytest.approx(0.025, rel=1e-5)


def test_jeffreys_at_its_ends() -> None:
    assert jeffreys(0, 5).low == 0.0
    assert jeffreys(5, 5).high == 1.0
    assert jeffreys(5, 5).low == pytest.approx(1 - jeffreys(0, 5).high)
    for hits, trials in ((6, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="`hits`"):
            jeffreys(hits, trials)


def test_moments_are_rows_before_thinning(chains) -> None:
    runs = [np.repeat(run, 4, axis=0) for run in chains(2, n_runs=4, n_steps=40, apart=8.0).runs]
    model = fit(runs, ["a", "b", "c", "d", "e"], n_states=[2], restarts=2, every=4).best
    found = explain(model, runs)
    assert found
    for each in found:
        for run, row in each.moments:
            assert row % 4 == 0
            assert model.paths[run][row // 4] == each.target
