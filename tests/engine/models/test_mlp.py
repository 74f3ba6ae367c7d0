import pytest
import torch
from torch import nn

from engine.datasets import Shape
from engine.models.mlp import MLP

NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "none": nn.Identity}
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [0, 1, 3])
def test_it_is_torchs_layers_one_after_another(norm, activation, depth):
    model = MLP(Shape(1, (2, 3), 4, "classes"), 5, depth, norm, activation).double()
    layers = [nn.Flatten()]
    for layer in range(depth):
        layers.append(nn.Linear(5 if layer else 6, 5, bias=norm != "batch"))
        layers += [NORMS[norm](5), ACTIVATIONS[activation]()]
    reference = nn.Sequential(*layers, nn.Linear(5 if depth else 6, 4)).double()
    drawn = torch.randn(sum(parameter.numel() for parameter in model.parameters()), dtype=torch.float64)
    nn.utils.vector_to_parameters(drawn, model.parameters())
    nn.utils.vector_to_parameters(drawn, reference.parameters())
    inputs = torch.randn(9, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(model(inputs), reference(inputs), rtol=0, atol=1e-10)


def test_parameter_count_of_three_hidden_layers_of_512_on_mnist():
    # Ainsworth et al. 2022, appendix A.3: 784-512-512-512-10
    model = MLP(Shape(1, (1, 28, 28), 10, "classes"), width=512, depth=3)
    assert sum(parameter.numel() for parameter in model.parameters()) == 932_362
