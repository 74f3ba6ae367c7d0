import math

import pytest
import torch
from torch import nn

from engine.datasets import Shape
from engine.models.gru import GRU
from engine.models.rnn import RNN

SHAPE = Shape(1, (6, 2), 3, "values")
BOTH = pytest.mark.parametrize(("ours", "theirs", "gates"), [(RNN, nn.RNN, 1), (GRU, nn.GRU, 3)])


@BOTH
@torch.no_grad()
def test_states_and_outputs_are_torchs(ours, theirs, gates):
    model = ours(SHAPE, width=5, readout="all").double()
    last = ours(SHAPE, width=5, readout="last").double()
    last.load_state_dict(model.state_dict())
    reference = theirs(2, 5, batch_first=True).double()
    for name, source in (("ih", model.from_input), ("hh", model.from_state)):
        getattr(reference, f"weight_{name}_l0").copy_(source.weight)
        getattr(reference, f"bias_{name}_l0").copy_(source.bias)
    inputs = torch.randn(9, 6, 2, dtype=torch.float64)
    seen = []
    model.trajectory.register_forward_hook(lambda module, given, states: seen.append(states))
    outputs, (expected, _) = model(inputs), reference(inputs)
    torch.testing.assert_close(seen[0], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(outputs, model.head(expected), rtol=0, atol=1e-12)
    torch.testing.assert_close(last(inputs), outputs[:, -1], rtol=0, atol=1e-12)


@BOTH
def test_parameter_count_is_torchs_and_that_of_the_read_out(ours, theirs, gates):
    ours, theirs = (
        sum(parameter.numel() for parameter in model.parameters())
        for model in (ours(SHAPE, width=5), theirs(2, 5))
    )
    assert theirs == gates * 5 * (2 + 5 + 2)
    assert ours == theirs + 5 * 3 + 3


@BOTH
def test_by_default_everything_is_drawn_as_torch_draws_it(ours, theirs, gates):
    torch.manual_seed(0)
    for parameter in ours(Shape(1, (6, 50), 30, "values"), width=100).parameters():
        assert parameter.abs().max() < 0.1
        torch.testing.assert_close(parameter.std().item(), 0.1 / math.sqrt(3), rtol=0.25, atol=0)


@BOTH
def test_recurrent_matrices_have_the_named_spectrum(ours, theirs, gates):
    torch.manual_seed(0)
    settings = {"width": 300, "recurrent_scale": 1.5}
    for matrix in ours(SHAPE, recurrent="orthogonal", **settings).from_state.weight.detach().split(300):
        torch.testing.assert_close(torch.linalg.svdvals(matrix), torch.full((300,), 1.5))
    for matrix in ours(SHAPE, recurrent="normal", **settings).from_state.weight.detach().split(300):
        radius = torch.linalg.eigvals(matrix).abs().max()
        assert 1.5 * 0.9 < radius < 1.5 * 1.1
    torch.manual_seed(1)
    plain = ours(SHAPE, width=5).from_state.weight
    torch.manual_seed(1)
    scaled = ours(SHAPE, width=5, recurrent_scale=1.5)
    torch.testing.assert_close(scaled.from_state.weight, 1.5 * plain)
    assert scaled.from_state.bias.abs().max() <= 1 / math.sqrt(5)


@BOTH
def test_an_early_input_reaches_the_last_output_and_a_late_one_no_early_output(ours, theirs, gates):
    inputs = torch.randn(1, 6, 2, requires_grad=True)
    outputs = ours(SHAPE, readout="all")(inputs)
    (of_the_first,) = torch.autograd.grad(outputs[0, 0].sum(), inputs, retain_graph=True)
    (of_the_last,) = torch.autograd.grad(outputs[0, -1].sum(), inputs)
    assert (of_the_first[0, 1:] == 0).all()
    assert (of_the_last[0, 0] != 0).all()
