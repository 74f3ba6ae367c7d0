import math

import pytest
import torch
from torch import nn

from engine.models._batch_norm import BatchNorm
from engine.models._init import SCHEMES, initialize

FAN_IN, FAN_OUT = 300, 500
VARIANCE = {
    "default": 1 / (3 * FAN_IN),
    "lecun-normal": 1 / FAN_IN,
    "xavier-normal": 2 / (FAN_IN + FAN_OUT),
    "xavier-uniform": 2 / (FAN_IN + FAN_OUT),
    "kaiming-normal": 2 / FAN_IN,
    "orthogonal": 1 / FAN_OUT,  # 300 orthonormal columns of 500
}
FOURTH_MOMENT = {"default": 9 / 5, "xavier-uniform": 9 / 5}  # over variance squared; else a normal's 3


def test_every_scheme_has_its_variance_here():
    assert set(VARIANCE) == set(SCHEMES)


@pytest.mark.parametrize("init", SCHEMES)
def test_weights_have_the_stated_distribution(init):
    torch.manual_seed(0)
    layer = nn.Linear(FAN_IN, FAN_OUT)
    initialize(layer, init)
    weight = layer.weight.detach().double()
    assert weight.mean().abs() < 5 * math.sqrt(VARIANCE[init] / weight.numel())
    torch.testing.assert_close(weight.square().mean().item(), VARIANCE[init], rtol=0.02, atol=0)
    kurtosis = (weight**4).mean() / weight.square().mean() ** 2
    torch.testing.assert_close(kurtosis.item(), FOURTH_MOMENT.get(init, 3.0), rtol=0.03, atol=0)
    assert (layer.bias == 0).all() == (init != "default")


def test_orthogonal_weights_are_orthogonal_also_as_kernels():
    layer = nn.Conv2d(2, 5, 3)
    initialize(layer, "orthogonal")
    kernel = layer.weight.detach().flatten(1)
    torch.testing.assert_close(kernel @ kernel.T, torch.eye(5))


@pytest.mark.parametrize("init", SCHEMES)
def test_the_scale_multiplies_weights_and_biases_but_no_gamma(init):
    def model(scale):
        torch.manual_seed(1)
        made = nn.Sequential(nn.Linear(4, 3), BatchNorm(3), nn.LayerNorm(3), nn.Linear(3, 2))
        initialize(made, init, scale)
        return dict(made.named_parameters())

    plain, scaled = model(1.0), model(2.0)
    for name, parameter in plain.items():
        gamma = name in ("1.weight", "2.weight")
        assert torch.equal(scaled[name], parameter if gamma else 2 * parameter)
        if gamma:
            assert (parameter == 1).all()


def test_matrices_are_drawn_in_the_order_of_the_parameters():
    model = nn.Sequential(nn.Linear(4, 3), BatchNorm(3), nn.Linear(3, 2))
    torch.manual_seed(2)
    initialize(model, "lecun-normal")
    torch.manual_seed(2)
    for layer, fan_in in ((model[0], 4), (model[2], 3)):
        drawn = torch.empty_like(layer.weight).normal_() / math.sqrt(fan_in)
        torch.testing.assert_close(layer.weight.detach(), drawn)
