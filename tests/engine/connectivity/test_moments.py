import numpy as np
import pytest
import torch

from engine.connectivity.moments import moments

VALUES = torch.randn(30, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 1e4


@pytest.mark.parametrize(("axis", "others"), [(1, (0, 2)), (-1, (0, 1))])
def test_equal_those_of_numpy(axis, others):
    found = moments(VALUES, axis)
    np.testing.assert_allclose(found.mean, VALUES.numpy().mean(others), rtol=1e-15)
    np.testing.assert_allclose(found.variance, VALUES.numpy().var(others), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, VALUES.numpy().std(others), rtol=1e-12)
    assert found.number == VALUES.numel() // VALUES.shape[axis]


@pytest.mark.parametrize("size", [1, 7, 29])
def test_do_not_depend_on_the_batches_that_values_come_in(size):
    parts = [moments(part, 1) for part in torch.split(VALUES, size)]
    found = parts[0]
    for part in parts[1:]:
        found = found.merged(part)
    whole = moments(VALUES, 1)
    assert found.number == whole.number
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-14)
    np.testing.assert_allclose(found.variance, whole.variance, rtol=1e-12)


def test_are_taken_in_double_precision():
    values = VALUES.float()
    assert moments(values, 1).mean.dtype == torch.float64
    np.testing.assert_allclose(moments(values, 1).variance, values.double().numpy().var((0, 2)), rtol=1e-12)


def test_equal_values_have_no_spread_at_all():
    equal = torch.tensor([0.1, 1e9, -1 / 3], dtype=torch.float64).expand(41, 3)
    found = moments(equal[:17], -1).merged(moments(equal[17:], -1))
    assert torch.equal(found.mean, equal[0])
    assert (found.squares == 0).all()
