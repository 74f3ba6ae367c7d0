import numpy as np
import pytest
import torch

from engine.connectivity.diagnostics import diagnostics
from tests.engine.connectivity.pairs import CASES, RECURRENT, data, pair


def test_by_hand():
    model, a, b = pair("mlp")
    X, _ = data("mlp")
    found = diagnostics(model, a, b, X, lam=0.3)
    assert found.layers == ("hidden.0.linear", "hidden.1.linear", "hidden.2.linear", "head")
    merge = {key: 0.7 * a[key] + 0.3 * b[key] for key in a}
    hidden = [X.numpy()] * 3
    for number, layer in enumerate(found.layers):
        weights = [state[f"{layer}.weight"].numpy() for state in (a, b, merge)]
        inputs = [
            units @ weight.T + state[f"{layer}.bias"].numpy()
            for units, weight, state in zip(hidden, weights, (a, b, merge), strict=True)
        ]
        first, second, middle = (units.var(0).sum() for units in inputs)
        assert found.variance_ratio[number] == pytest.approx(middle / ((first + second) / 2))
        first, second, middle = (np.sqrt((weight**2).sum()) for weight in weights)
        assert found.norm_ratio[number] == pytest.approx(middle / ((first + second) / 2))
        assert found.distance[number] == pytest.approx(np.sqrt(((weights[0] - weights[1]) ** 2).sum()))
        hidden = inputs if layer == "head" else [np.maximum(units, 0) for units in inputs]
        mean = 0.7 * hidden[0] + 0.3 * hidden[1]
        cosines = [
            one @ other / np.sqrt((one @ one) * (other @ other))
            for one, other in zip(hidden[2], mean, strict=True)
        ]
        assert found.linearity_gap[number] == pytest.approx(1 - np.mean(cosines), nan_ok=True)


def test_half_way_between_orthogonal_weights_of_equal_length_the_norm_falls_to_0_707():
    model, a, b = pair("mlp")
    X, _ = data("mlp")
    for layer in ("hidden.0.linear", "hidden.1.linear", "hidden.2.linear", "head"):
        one, other = a[f"{layer}.weight"], b[f"{layer}.weight"]
        other -= one * (one * other).sum() / one.square().sum()
        other *= one.norm() / other.norm()
    found = diagnostics(model, a, b, X)
    np.testing.assert_allclose(found.norm_ratio, np.sqrt(0.5), rtol=1e-12)


@pytest.mark.parametrize("case", ["mlp", "cnn, batch", "transformer", "rnn"])
def test_nothing_happens_between_equal_ends(case):
    model, a, _ = pair(case)
    X = data(case)[0]
    found = diagnostics(model, a, a, X)
    np.testing.assert_allclose(found.variance_ratio, 1, rtol=1e-12)
    np.testing.assert_allclose(found.norm_ratio, 1, rtol=1e-12)
    np.testing.assert_allclose(found.linearity_gap, 0, atol=1e-12)
    np.testing.assert_array_equal(found.distance, 0)


@pytest.mark.parametrize("case", CASES | RECURRENT)
def test_every_architecture_has_a_row_for_each_of_its_layers(case):
    model, a, b = pair(case)
    found = diagnostics(model, a, b, data(case)[0])
    layers = [
        name for name, one in model.named_modules() if isinstance(one, torch.nn.Linear | torch.nn.Conv2d)
    ]
    assert sorted(found.layers) == sorted(layers)
    assert all(len(column) == len(layers) for column in found[1:])
    assert (found.distance > 0).all()


def test_behind_batch_normalization_variance_does_not_collapse():
    _, a, b = pair("mlp")
    model, c, d = pair("mlp, batch")
    for state in (c, d):
        for layer in range(3):
            state[f"hidden.{layer}.norm.weight"] = torch.ones(7, dtype=torch.float64)
    X, _ = data("mlp")
    np.testing.assert_allclose(diagnostics(model, c, d, X).variance_ratio[:3], 1, rtol=1e-3)
    plain, _, _ = pair("mlp")
    assert (diagnostics(plain, a, b, X).variance_ratio[:3] < 0.9).all()


def test_what_does_not_vary_has_no_ratio():
    model, a, _ = pair("mlp")
    a["hidden.1.linear.weight"].zero_()
    found = diagnostics(model, a, a, data("mlp")[0])
    assert np.isnan(found.variance_ratio[1])
    assert np.isnan(found.norm_ratio[1])
    assert np.isfinite(found.variance_ratio[0])


def test_says_what_is_wrong():
    model, a, b = pair("mlp")
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\]; got -0.5"):
        diagnostics(model, a, b, data("mlp")[0], lam=-0.5)
