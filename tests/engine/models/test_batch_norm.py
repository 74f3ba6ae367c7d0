import numpy as np
import pytest
import torch
from torch import nn

from engine.analysis.shuffling import normalize
from engine.models._batch_norm import BatchNorm


@pytest.mark.parametrize(("theirs", "shape"), [(nn.BatchNorm1d, (9, 5)), (nn.BatchNorm2d, (4, 5, 3, 2))])
def test_it_is_torchs_in_training_mode(theirs, shape):
    inputs = 3 + 2 * torch.randn(shape, dtype=torch.float64)
    ours, reference = BatchNorm(5).double(), theirs(5).double()
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), reference.parameters(), strict=True):
            mine.copy_(torch.randn_like(mine))
            other.copy_(mine)
    torch.testing.assert_close(ours(inputs), reference(inputs), rtol=0, atol=1e-12)
    plain = theirs(5, affine=False).double()
    torch.testing.assert_close(ours.normalize(inputs), plain(inputs), rtol=0, atol=1e-12)


def test_without_a_shift_there_is_only_gamma():
    module = BatchNorm(3, affine="scale").double()
    assert [name for name, _ in module.named_parameters()] == ["weight"]
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.0, -2.0, 3.0]))
    inputs = torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(module(inputs), module.normalize(inputs) * module.weight, rtol=0, atol=1e-15)


def test_without_eps_equal_values_become_zero_as_in_the_analysis_and_have_a_finite_gradient():
    inputs = torch.randn(3, 4, dtype=torch.float64)
    inputs[:, 1] = 0.1  # whose mean over three is not 0.1
    assert inputs[:, 1].mean() != 0.1
    inputs.requires_grad_()
    normalized = BatchNorm(4, eps=0.0).double().normalize(inputs)
    expected = normalize(inputs.detach().numpy(), 0.0)
    np.testing.assert_allclose(normalized.detach().numpy(), expected, rtol=0, atol=1e-12)
    assert (normalized[:, 1] == 0).all()
    (gradient,) = torch.autograd.grad(normalized.sin().sum(), inputs)
    assert gradient.isfinite().all()


def test_under_autocast_statistics_keep_the_digits_of_the_weights():
    inputs = 1000 + torch.randn(64, 3)
    normalized = BatchNorm(3)(inputs.bfloat16())
    assert normalized.dtype == torch.float32
    expected = BatchNorm(3)(inputs.bfloat16().float())
    assert torch.equal(normalized, expected)
