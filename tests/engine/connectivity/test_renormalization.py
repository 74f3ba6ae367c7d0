import copy
import io

import numpy as np
import pytest
import torch
from torch import nn

from engine.connectivity.pruning import prune
from engine.connectivity.renormalization import renormalize, renormalize_towards
from tests.engine.connectivity.pairs import CASES, RECURRENT, data, loaded, pair

# Where the inputs of units are, and which axis counts them.
PLACES = {
    "linear-network": (("layers.2", 1), ("layers.4", 1)),
    "linear-network, plain": (("layers.0", 1), ("layers.2", 1)),
    "mlp": tuple((f"hidden.{layer}.linear", 1) for layer in range(3)),
    "mlp, batch": tuple((f"hidden.{layer}.norm", 1) for layer in range(3)),
    "mlp, layer": tuple((f"hidden.{layer}.norm", 1) for layer in range(3)),
    "residual-mlp": (("stem", 1), ("blocks.0.first", 1), ("blocks.0.second", 1), ("blocks.1.first", 1)),
    "residual-mlp, batch": (("stem", 1), ("blocks.0.first", 1), ("blocks.0.second", 1)),
    "cnn": (("layers.0.convolution", 1), ("layers.1.convolution", 1)),
    "cnn, batch": (("layers.0.norm", 1), ("layers.1.norm", 1)),
    "resnet": (("conv", 1), ("blocks.0.conv1", 1), ("blocks.0.conv2", 1), ("blocks.1.shortcut.0", 1)),
    "resnet, batch": (("norm", 1), ("blocks.0.norm1", 1), ("blocks.1.shortcut.1", 1)),
    "resnet, layer": (("norm", 1), ("blocks.0.norm1", 1), ("blocks.1.shortcut.1", 1)),
    "transformer": (("query", 1), ("key", 2), ("value", 2), ("output", 1), ("hidden", 1), ("back", 1)),
}


def measured(model, X, places):
    """Mean and standard deviation of each unit at each place."""
    found = []

    def see(axis):
        def hook(module, inputs, output):
            units = np.moveaxis(output.numpy(), axis, 0).reshape(output.shape[axis], -1)
            found.append((units.mean(1), units.std(1)))

        return hook

    handles = [model.get_submodule(name).register_forward_hook(see(axis)) for name, axis in places]
    with torch.no_grad():
        model(X)
    for handle in handles:
        handle.remove()
    return found


@pytest.mark.parametrize("case", CASES)
def test_repair_hits_its_goals(case):
    model, a, b = pair(case)
    X, _ = data(case, 200)
    merge = renormalize(model, a, b, 0.3, X)
    ends = [measured(loaded(model, one), X, PLACES[case]) for one in (a, b)]
    for found, one, other in zip(measured(merge, X, PLACES[case]), *ends, strict=True):
        for got, first, second in zip(found, one, other, strict=True):
            np.testing.assert_allclose(got, 0.7 * first + 0.3 * second, rtol=1e-6, atol=1e-9)


def test_repair_hits_its_goals_in_single_precision():
    model, a, b = pair("mlp")
    X = data("mlp", 200)[0].float()
    a, b = ({key: value.float() for key, value in one.items()} for one in (a, b))
    merge = renormalize(model.float(), a, b, 0.5, X)
    assert {one.dtype for one in merge.parameters()} == {torch.float32}
    ends = [measured(loaded(model, one), X, PLACES["mlp"]) for one in (a, b)]
    for found, one, other in zip(measured(merge, X, PLACES["mlp"]), *ends, strict=True):
        for got, first, second in zip(found, one, other, strict=True):
            np.testing.assert_allclose(got, (first + second) / 2, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", ["mlp, batch", "residual-mlp", "cnn, batch", "resnet, layer", "transformer"])
def test_does_not_depend_on_the_batch_size(case):
    model, a, b = pair(case)
    X, _ = data(case)
    whole, split = (renormalize(model, a, b, 0.4, X, batch_size=size).state_dict() for size in (None, 16))
    for key in whole:
        torch.testing.assert_close(split[key], whole[key], rtol=1e-9, atol=1e-9)


def corrected_by_hand(a, b, lam, X, method, norm):
    """The hidden layers of the perceptron with ReLU or tanh, corrected one after the other in NumPy."""
    merge = {key: (1 - lam) * a[key] + lam * b[key] for key in a}

    def normal(units, state, layer):
        key = f"hidden.{layer}.norm"
        scaled = (units - units.mean(0)) / np.sqrt(units.var(0) + 1e-5)
        return scaled * state[f"{key}.weight"].numpy() + state[f"{key}.bias"].numpy()

    hidden = [X.numpy()] * 3
    for layer in range(3):
        inputs = []
        for state, units in zip((a, b, merge), hidden, strict=True):
            key = f"hidden.{layer}.linear"
            units = units @ state[f"{key}.weight"].numpy().T
            units = normal(units, state, layer) if norm else units + state[f"{key}.bias"].numpy()
            inputs.append(units)
        mu = (1 - lam) * inputs[0].mean(0) + lam * inputs[1].mean(0)
        sd = (1 - lam) * inputs[0].std(0) + lam * inputs[1].std(0)
        z = inputs[2]
        m, s = z.mean(0), z.std(0)
        inputs[2] = {
            "repair": (z - m) * sd / s + mu,
            "rescale": z * sd / s,
            "reshift": z - m + mu,
            "reset": z,
        }[method]
        hidden = [np.tanh(units) if norm else np.maximum(units, 0) for units in inputs]
    return hidden[2] @ merge["head.weight"].numpy().T + merge["head.bias"].numpy()


@pytest.mark.parametrize("case", ["mlp", "mlp, batch"])
@pytest.mark.parametrize("method", ["repair", "rescale", "reshift", "reset"])
def test_every_method_by_its_definition(case, method):
    model, a, b = pair(case)
    X, _ = data(case)
    if case == "mlp" and method == "reset":
        with pytest.raises(ValueError, match="`method` reset takes the statistics of batch normalizations"):
            renormalize(model, a, b, 0.3, X, method)
        return
    with torch.no_grad():
        found = renormalize(model, a, b, 0.3, X, method)(X)
    np.testing.assert_allclose(
        found, corrected_by_hand(a, b, 0.3, X, method, norm="batch" in case), rtol=1e-9, atol=1e-9
    )


def test_reset_freezes_the_statistics_of_the_calibration_set():
    model, a, b = pair("cnn, batch")
    X, other = data("cnn, batch")[0], data("cnn, batch", seed=4)[0]
    found = renormalize(model, a, b, 0.5, X, "reset")
    merge = loaded(model, {key: (a[key] + b[key]) / 2 for key in a})
    with torch.no_grad():
        torch.testing.assert_close(found(X), merge(X), rtol=1e-10, atol=1e-10)
        assert (found(other) - merge(other)).abs().max() > 1e-3
        torch.testing.assert_close(found(other)[:1], found(other[:1]), rtol=1e-10, atol=1e-10)


def test_batch_normalizations_of_torch_are_frozen_too():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    other = copy.deepcopy(model)
    X = 1 + torch.randn(50, 6, dtype=torch.float64)
    with torch.no_grad():
        for one in (*model.parameters(), *other.parameters()):
            one.add_(0.3 * torch.randn_like(one))
        found = renormalize(model, model.state_dict(), other.state_dict(), 0.5, X, "reset")
        merge = copy.deepcopy(model).train()
        for one, first, second in zip(*(net.parameters() for net in (merge, model, other)), strict=True):
            one.copy_((first + second) / 2)
        torch.testing.assert_close(found(X), merge(X), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ["repair", "rescale", "reshift"])
@pytest.mark.parametrize("case", ["mlp", "mlp, batch"])
def test_a_unit_that_is_dead_in_the_merge_stays_finite(case, method):
    model, a, b = pair(case)
    X, _ = data(case)
    b["hidden.1.linear.weight"][2] = -a["hidden.1.linear.weight"][2]
    b["hidden.0.linear.weight"][4] = -a["hidden.0.linear.weight"][4]
    merge = renormalize(model, a, b, 0.5, X, method)
    with torch.no_grad():
        assert merge(X).isfinite().all()
        assert merge(1e3 * X).isfinite().all()
    assert all(one.abs().max() < 1e4 for one in merge.parameters())
    if method != "rescale":
        ends = [measured(loaded(model, one), X, PLACES[case]) for one in (a, b)]
        mean, deviation = measured(merge, X, PLACES[case])[1]
        assert mean[2] == pytest.approx((ends[0][1][0][2] + ends[1][1][0][2]) / 2, rel=1e-6)
        assert deviation[2] < 1e-9


def test_returns_an_ordinary_network_of_the_same_architecture():
    model, a, b = pair("resnet, layer")
    X, _ = data("resnet, layer")
    before = {key: value.clone() for key, value in a.items()}
    merge = renormalize(model, a, b, 0.5, X)
    assert merge.state_dict().keys() == a.keys()
    loaded(model, merge.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(model(X), merge(X), rtol=0, atol=0)
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in merge.modules())
    torch.save(merge.state_dict(), io.BytesIO())
    for key, value in a.items():
        assert torch.equal(value, before[key])


def test_a_layer_without_a_bias_gets_one_and_a_batch_normalization_becomes_a_scale_and_a_shift():
    model, a, b = pair("linear-network, plain")
    found = renormalize(model, a, b, 0.5, data("linear-network, plain")[0]).state_dict()
    assert found.keys() - a.keys() == {"layers.0.bias", "layers.2.bias"}
    model, a, b = pair("cnn, batch")
    X, _ = data("cnn, batch")
    merge = renormalize(model, a, b, 0.5, X)
    assert merge.state_dict().keys() == a.keys()
    norm = merge.get_submodule("layers.0.norm")
    expected = X.double()[:, :3] * norm.weight.view(3, 1, 1) + norm.bias.view(3, 1, 1)
    torch.testing.assert_close(norm(X[:, :3]), expected)


def test_the_ends_come_out_as_they_are():
    model, a, b = pair("transformer")
    X, _ = data("transformer")
    with torch.no_grad():
        found, expected = renormalize(model, a, b, 1.0, X)(X), loaded(model, b)(X)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", RECURRENT)
def test_a_recurrent_network_has_no_single_input_of_its_units(case):
    model, a, b = pair(case)
    with pytest.raises(ValueError, match="`from_state` runs 6 times in one pass, as in a recurrent network"):
        renormalize(model, a, b, 0.5, data(case)[0])


def test_says_what_is_wrong():
    model, a, b = pair("mlp")
    X, _ = data("mlp")
    with pytest.raises(ValueError, match=r"`lam` must be in \[0, 1\]; got 1.5"):
        renormalize(model, a, b, 1.5, X)
    with pytest.raises(ValueError, match="`method` must be one of repair, rescale, reshift, reset; got 'x'"):
        renormalize(model, a, b, 0.5, X, "x")
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        renormalize(model, a, b, 0.5, X, batch_size=0)


@pytest.mark.parametrize("case", ["mlp", "resnet, batch", "resnet, layer"])
def test_a_pruned_network_gets_the_moments_of_the_dense_one(case):
    model, dense, _ = pair(case)
    X, _ = data(case, 200)
    sparse = prune(model, dense, 0.3)
    expected = measured(loaded(model, dense), X, PLACES[case])
    pruned = measured(loaded(model, sparse), X, PLACES[case])
    found = measured(renormalize_towards(model, dense, sparse, X), X, PLACES[case])
    for got, goal, before in zip(found, expected, pruned, strict=True):
        for one, other in zip(got, goal, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)
        assert np.abs(before[0] - goal[0]).max() + np.abs(before[1] - goal[1]).max() > 1e-3 or "batch" in case
