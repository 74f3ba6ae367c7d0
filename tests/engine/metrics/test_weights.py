"""Singular values through Gram matrices against LAPACK's own, where that is hard."""

import numpy as np
import pytest
import torch

from engine.metrics import Weights
from tests.engine.metrics.example import parameters, random

EPS = np.finfo(np.float64).eps


def with_singular_values(values, rows, columns):
    left = np.linalg.qr(random(1, rows, len(values)).numpy())[0]
    right = np.linalg.qr(random(2, columns, len(values)).numpy())[0]
    return torch.from_numpy(left * np.array(values) @ right.T)[None]


@pytest.mark.parametrize(("rows", "columns"), [(6, 6), (6, 40), (40, 6)])
def test_a_singular_value_is_off_by_no_more_than_stated(rows, columns):
    exact = np.array([3.0, 1.0, 1e-2, 1e-4, 1e-6, 0.0])
    matrix = with_singular_values(exact, rows, columns)
    got = Weights({"a.weight": matrix}).singular_values["a"][0].numpy()
    assert got[0] == pytest.approx(3.0, rel=1e-14)
    assert (abs(got[:-1] - exact[:-1]) <= 8 * EPS * 9 / exact[:-1]).all()
    assert got[-1] <= 3 * 1e-7


def test_singular_values_of_float32_weights_are_right_below_float32_precision():
    wide = Weights(parameters()).singular_values
    narrow = Weights({name: value.float() for name, value in parameters().items()})
    for layer, values in narrow.singular_values.items():
        torch.testing.assert_close(values, wide[layer], rtol=0, atol=1e-6 * float(wide[layer].max()))
        expected = np.linalg.svd(narrow.matrices[layer].double().numpy(), compute_uv=False)
        np.testing.assert_allclose(values.numpy(), expected, rtol=1e-9)


def test_a_matrix_too_large_to_square_is_marked_and_spoils_no_neighbour():
    matrix = random(1, 3, 4, 5)
    alone = Weights({"a.weight": matrix.clone()}).singular_values["a"]
    matrix[1] *= 1e200
    got = Weights({"a.weight": matrix}).singular_values["a"]
    assert got[1].isnan().all()
    assert torch.equal(got[[0, 2]], alone[[0, 2]])


def test_layers_are_named_after_their_parameter_and_scales_are_no_weights():
    weights = Weights(
        {
            "block.linear.weight": random(1, 2, 3, 3),
            "embedding": random(2, 2, 5, 3),
            "block.norm.weight": random(3, 2, 3),
            "block.linear.bias": random(4, 2, 3),
        }
    )
    assert list(weights.matrices) == ["block.linear", "embedding"]
    assert list(weights.biases) == ["block.linear"]
