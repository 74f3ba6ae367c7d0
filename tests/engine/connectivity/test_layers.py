import pytest
import torch
from torch import nn

from engine.connectivity.layers import private, trace
from tests.engine.connectivity.pairs import data, pair


def traced(case):
    model, a, _ = pair(case)
    return trace(private(model), a, data(case)[0])


def test_a_normalization_that_alone_reads_a_layer_belongs_to_it():
    assert traced("mlp, layer").layers == (
        ("hidden.0.linear", "hidden.0.norm", "hidden.0.activation"),
        ("hidden.1.linear", "hidden.1.norm", "hidden.1.activation"),
        ("hidden.2.linear", "hidden.2.norm", "hidden.2.activation"),
        ("head", None, None),
    )
    assert traced("cnn").layers[0] == ("layers.0.convolution", None, "layers.0.activation")


def test_a_normalization_inside_a_branch_does_not_belong_to_the_layer_whose_output_also_goes_round_it():
    found = traced("residual-mlp, batch")
    assert found.layers == (
        ("stem", None, None),
        ("blocks.0.first", None, "blocks.0.activation"),
        ("blocks.0.second", None, None),
        ("blocks.1.first", None, "blocks.1.activation"),
        ("blocks.1.second", None, None),
        ("head", None, None),
    )
    assert found.batch_norms == ("blocks.0.norm", "blocks.1.norm", "norm")


def test_layers_of_a_residual_network_are_in_the_order_in_which_they_run():
    found = traced("resnet, batch")
    assert found.layers[:3] == (
        ("conv", "norm", "relu"),
        ("blocks.0.conv1", "blocks.0.norm1", "blocks.0.relu1"),
        ("blocks.0.conv2", "blocks.0.norm2", None),  # the shortcut is added before the nonlinearity
    )
    assert ("blocks.1.shortcut.0", "blocks.1.shortcut.1", None) in found.layers
    assert found.widest == 4 * 9 * 10


def test_order_is_that_of_execution_and_runs_are_counted():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(4, 4)

        def forward(self, inputs):
            return self.last(self.first(self.first(inputs)).relu())

    model = Reversed()
    found = trace(model, dict(model.state_dict()), torch.ones(3, 4))
    assert [layer.name for layer in found.layers] == ["first", "last"]
    assert found.runs == {"first": 2, "last": 1}
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in model.modules())


def test_a_model_must_have_a_layer():
    model = nn.LayerNorm(4)
    with pytest.raises(ValueError, match="`model` must run a linear layer or a convolution"):
        trace(model, dict(model.state_dict()), torch.ones(3, 4))
