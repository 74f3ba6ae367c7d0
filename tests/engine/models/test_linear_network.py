import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from engine.datasets import Shape
from engine.models.linear_network import LinearNetwork

SHAPE = Shape(100, (2, 3), 4, "values")


def network(**settings) -> LinearNetwork:
    model = LinearNetwork(SHAPE, **{"width": 5, **settings}).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model


def inputs():
    return 1 + 2 * torch.randn(9, 2, 3, dtype=torch.float64)


def test_the_demos_network_has_its_names_and_draws():
    shape = Shape(1, (64,), 10, "classes")
    torch.manual_seed(3)
    model = LinearNetwork(shape, width=64, depth=3, norm="batch")
    torch.manual_seed(3)
    drawn = [nn.Linear(64, 64, bias=False) for _ in range(3)] + [nn.Linear(64, 10)]
    linear = {0: drawn[0], 2: drawn[1], 4: drawn[2], 6: drawn[3]}
    for place, layer in linear.items():
        assert torch.equal(model.layers[place].weight, layer.weight)
    assert torch.equal(model.layers[6].bias, drawn[3].bias)
    expected = [f"layers.{layer}.{of}" for layer in range(7) for of in ("weight", "bias")]
    for without in ("layers.0.bias", "layers.2.bias", "layers.4.bias"):
        expected.remove(without)
    assert [name for name, _ in model.named_parameters()] == expected


def test_a_layer_has_one_name_with_and_without_normalization():
    with_it, without = (
        {name for name, value in network(norm=norm).named_parameters() if value.ndim == 2}
        for norm in ("batch", "none")
    )
    assert with_it == without


@pytest.mark.parametrize("depth", [0, 1, 4])
@pytest.mark.parametrize("normalize_inputs", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_it_is_torchs_layers_one_after_another(depth, normalize_inputs, norm):
    model = network(depth=depth, normalize_inputs=normalize_inputs, norm=norm, eps=1e-3)
    layers = [nn.BatchNorm1d(6, eps=1e-3)] if normalize_inputs else []
    for layer in range(depth):
        layers.append(nn.Linear(5 if layer else 6, 5, bias=False))
        layers += [nn.BatchNorm1d(5, eps=1e-3)] if norm == "batch" else []
    reference = nn.Sequential(nn.Flatten(), *layers, nn.Linear(5 if depth else 6, 4)).double()
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(model.parameters()), reference.parameters())
    given = inputs()
    torch.testing.assert_close(model(given), reference(given), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 0, "normalize_inputs": True},
        {"depth": 0},
        {"depth": 2},
        {"depth": 2, "normalize_inputs": True, "affine": "scale"},
        {"depth": 2, "norm": "none"},
        {"depth": 1, "norm": "none", "normalize_inputs": True},
        {"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False},
    ],
)
@torch.no_grad()
def test_outputs_are_the_readout_of_the_features_and_a_constant(settings):
    models = [network(**settings) for _ in range(3)]
    given = inputs()
    stacked = {name: value.detach() for name, value in stack_module_state(models)[0].items()}
    matrices = LinearNetwork.readout(stacked)
    for model, matrix in zip(models, matrices, strict=True):
        assert torch.equal(model.readout(dict(model.named_parameters())), matrix)
        constant = model(given) - model.features(given) @ matrix.T
        if settings.get("bias", True) is False:
            torch.testing.assert_close(constant, torch.zeros_like(constant), rtol=0, atol=1e-12)
        torch.testing.assert_close(constant, constant[:1].expand_as(constant), rtol=0, atol=1e-12)
    outputs = vmap(lambda one: functional_call(models[0], one, (given,)))(stacked)
    assert outputs.shape[:1] + outputs.shape[2:] == matrices.shape[:2]


def test_features_behind_a_normalization_are_normalized_and_those_before_any_are_the_inputs():
    given = inputs()
    for settings in ({"depth": 0, "normalize_inputs": True, "eps": 0.0}, {"depth": 3, "eps": 0.0}):
        features = network(**settings).features(given)
        torch.testing.assert_close(features.mean(0), torch.zeros_like(features[0]), rtol=0, atol=1e-12)
        torch.testing.assert_close(
            features.var(0, correction=0), torch.ones_like(features[0]), rtol=0, atol=1e-12
        )
    assert torch.equal(network(depth=0).features(given), given.flatten(1))


@pytest.mark.parametrize("normalize_inputs", [False, True])
def test_features_are_fixed_without_a_hidden_layer_and_need_no_weights(normalize_inputs):
    first, second = (network(depth=0, normalize_inputs=normalize_inputs) for _ in range(2))
    assert first.fixed_features
    assert not network(depth=1).fixed_features
    given = inputs()
    assert torch.equal(first.features(given), second.features(given))
    assert torch.equal(first.to("meta").features(given), second.features(given))


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False}, 6 + 4 * 6),
        ({"depth": 0, "normalize_inputs": True}, 12 + 4 * 6 + 4),
        ({"depth": 3}, 6 * 5 + 2 * 25 + 3 * 10 + 4 * 5 + 4),
        ({"depth": 3, "affine": "scale", "bias": False}, 6 * 5 + 2 * 25 + 3 * 5 + 4 * 5),
    ],
)
def test_parameter_count(settings, count):
    assert sum(parameter.numel() for parameter in network(**settings).parameters()) == count
