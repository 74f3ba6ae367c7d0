import pytest
import torch
from torch.nn import functional

from engine.datasets import Shape
from engine.models.residual_mlp import ResidualMLP

SHAPE = Shape(1, (6,), 4, "classes")


def normalized(norm, units, weights, name):
    if norm == "none":
        return units
    gamma, beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
    if norm == "layer":
        return functional.layer_norm(units, (5,), gamma, beta)
    return functional.batch_norm(units, None, None, gamma, beta, training=True)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@torch.no_grad()
def test_blocks_add_to_the_stream(norm):
    model = ResidualMLP(SHAPE, width=5, blocks=2, norm=norm, activation="tanh").double()
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter))
    weights, inputs = dict(model.named_parameters()), torch.randn(9, 6, dtype=torch.float64)

    def linear(units, name):
        return functional.linear(units, weights[f"{name}.weight"], weights[f"{name}.bias"])

    stream = linear(inputs, "stem")
    for block in ("blocks.0", "blocks.1"):
        inner = linear(normalized(norm, stream, weights, f"{block}.norm"), f"{block}.first").tanh()
        stream = stream + linear(inner, f"{block}.second")
    expected = linear(normalized(norm, stream, weights, "norm"), "head")
    torch.testing.assert_close(model(inputs), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("norm", "normalizations"), [("none", 0), ("batch", 4), ("layer", 4)])
def test_parameter_count(norm, normalizations):
    model = ResidualMLP(SHAPE, width=5, blocks=3, norm=norm)
    expected = (6 * 5 + 5) + 3 * 2 * (25 + 5) + (5 * 4 + 4) + normalizations * 10
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
