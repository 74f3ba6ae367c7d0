import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.datasets import Shape
from engine.models.resnet import ResNet


class Reference:
    """He et al. 2016a, section 4.2, as functions of a list of weights in the order in which it uses them."""

    def __init__(self, weights, norm, residual):
        self.weights, self.norm, self.residual = list(weights), norm, residual

    def layer(self, image, width, size, stride):
        weight = self.weights.pop(0)
        assert weight.shape == (width, image.shape[1], size, size)
        bias = self.weights.pop(0) if self.norm == "none" else None
        image = functional.conv2d(image, weight, bias, stride, padding=size // 2)
        if self.norm == "none":
            return image
        norm = nn.BatchNorm2d(width) if self.norm == "batch" else nn.GroupNorm(1, width)
        norm.weight, norm.bias = self.weights.pop(0), self.weights.pop(0)
        return norm.double()(image)

    def __call__(self, image, depth, width):
        image = self.layer(image, width, 3, 1).relu()
        for stage in range(3):
            for block in range((depth - 2) // 6):
                shortcut, features = image, width * 2**stage
                stride = 2 if stage > 0 and block == 0 else 1
                image = self.layer(image, features, 3, stride).relu()
                image = self.layer(image, features, 3, 1)
                if self.residual:
                    if shortcut.shape != image.shape:
                        shortcut = self.layer(shortcut, features, 1, stride)
                    image = image + shortcut
                image = image.relu()
        weight, bias = self.weights
        return functional.adaptive_avg_pool2d(image, 1).flatten(1) @ weight.T + bias


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(("depth", "inputs"), [(8, (1, 9, 8)), (14, (3, 16, 16))])
@torch.no_grad()
def test_it_is_the_network_of_the_paper(norm, residual, depth, inputs):
    model = ResNet(Shape(1, inputs, 5, "classes"), depth, 0.25, norm, residual).double()
    for parameter in model.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    images = torch.randn(4, *inputs, dtype=torch.float64)
    expected = Reference(model.parameters(), norm, residual)(images, depth, 4)
    torch.testing.assert_close(model(images), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, 272_474),  # 0.27 M in table 6, where shortcuts have no weights
        ({"residual": False}, 269_722),
        ({"depth": 8}, 78_042),
        ({"depth": 8, "norm": "none"}, 77_706),
        ({"width_factor": 2}, 1_084_586),
    ],
)
def test_parameter_count_on_cifar(settings, count):
    model = ResNet(Shape(1, (3, 32, 32), 10, "classes"), **settings)
    assert sum(parameter.numel() for parameter in model.parameters()) == count
