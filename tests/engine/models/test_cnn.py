import pytest
import torch
from torch import nn

from engine.datasets import Shape
from engine.models.cnn import CNN

NORMS = {
    "batch": nn.BatchNorm2d,
    "layer": lambda width: nn.GroupNorm(1, width),
    "none": lambda width: nn.Identity(),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("depth", [1, 3])
def test_it_is_torchs_layers_one_after_another(norm, depth):
    model = CNN(Shape(1, (2, 9, 8), 5, "classes"), 3, depth, norm, "gelu").double()
    layers, channels = [], 2
    for width in (3, 6, 12)[:depth]:
        layers.append(nn.Conv2d(channels, width, 3, padding="same", bias=norm != "batch"))
        layers += [NORMS[norm](width), nn.GELU(), nn.MaxPool2d(2)]
        channels = width
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))
    reference = nn.Sequential(*layers, head).double()
    drawn = torch.randn(sum(parameter.numel() for parameter in model.parameters()), dtype=torch.float64)
    nn.utils.vector_to_parameters(drawn, model.parameters())
    nn.utils.vector_to_parameters(drawn, reference.parameters())
    inputs = torch.randn(4, 2, 9, 8, dtype=torch.float64)
    torch.testing.assert_close(model(inputs), reference(inputs), rtol=0, atol=1e-10)


def test_layer_normalization_sees_one_image_as_a_whole():
    image = torch.randn(1, 2, 8, 8)
    (layer,) = CNN(Shape(1, (2, 8, 8), 5, "classes"), width=4, depth=1, norm="layer").layers
    normalized = layer.norm(layer.convolution(image))
    assert normalized.mean().abs() < 1e-6
    torch.testing.assert_close(normalized.var(correction=0).item(), 1.0, rtol=1e-3, atol=0)


@pytest.mark.parametrize(("norm", "per_channel"), [("batch", 2), ("layer", 3), ("none", 1)])
def test_parameter_count(norm, per_channel):
    model = CNN(Shape(1, (1, 28, 28), 10, "classes"), width=16, depth=2, norm=norm)
    expected = 9 * 1 * 16 + 9 * 16 * 32 + per_channel * (16 + 32) + 32 * 10 + 10
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
