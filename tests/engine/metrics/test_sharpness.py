"""Sharpness against the eigenvalues of the whole Hessian."""

import dataclasses

import pytest
import torch
from torch.autograd.functional import hessian

from engine.losses import losses
from engine.metrics import metrics
from engine.metrics.sharpness import PRODUCTS, ROWS, largest_eigenvalues
from tests.engine.metrics.example import SEEDS, TRAIN, forward, one, parameters, random, state


def dense_hessian(weights, data, task="classes"):
    """Return the Hessian of the mean loss over one replica's flat parameters."""
    sizes = [value.numel() for value in weights.values()]

    def loss(flat):
        parts = flat.split(sizes)
        named = {name: part.view(weights[name].shape) for name, part in zip(weights, parts, strict=True)}
        return losses(task, forward(named, data[0]), data[1]).mean()

    return hessian(loss, torch.cat([value.flatten() for value in weights.values()]))


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    got = metrics()["sharpness"].compute(state())
    for seed in range(SEEDS):
        values = torch.linalg.eigvalsh(dense_hessian(one(parameters(), seed), TRAIN))
        assert got[seed].item() == pytest.approx(values[-1].item(), rel=1e-6)


def test_sharpness_sees_only_the_first_rows():
    many = (random(1, ROWS + 50, 1, 3, 3), torch.arange(ROWS + 50) % 3)
    few = (many[0][:ROWS], many[1][:ROWS])
    metric = metrics()["sharpness"]
    seen = [metric.compute(state(train=rows, features=None)) for rows in (many, few)]
    assert torch.equal(*seen)


def test_sharpness_of_float32_is_that_of_float64_to_single_precision():
    narrow = dataclasses.replace(
        state(),
        parameters={name: value.float() for name, value in parameters().items()},
        train=(TRAIN[0].float(), TRAIN[1]),
    )
    metric = metrics()["sharpness"]
    torch.testing.assert_close(metric.compute(narrow).double(), metric.compute(state()), rtol=1e-4, atol=0)


def symmetric(eigenvalues, seed):
    basis = torch.linalg.qr(random(seed, len(eigenvalues), len(eigenvalues))).Q
    return basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T


def largest(matrices, products=PRODUCTS):
    stacked = torch.stack(matrices)
    start = random(5, stacked.shape[-1])
    starts = (start / start.norm()).expand(len(stacked), -1)
    return largest_eigenvalues(lambda vectors: (stacked @ vectors[..., None])[..., 0], starts, products)


def test_the_largest_eigenvalue_is_meant_algebraically():
    got = largest([symmetric([-9.0, -1, 0.5, 2], 1), symmetric([-9.0, -4, -3, -2], 2)])
    assert got.tolist() == pytest.approx([2, -2], rel=1e-10)


def test_an_iteration_that_ends_early_adds_no_eigenvalue():
    # The first product of a multiple of the identity leaves nothing over: beta is exactly 0.
    assert largest([-3 * torch.eye(4, dtype=torch.float64)]).tolist() == pytest.approx([-3], rel=1e-12)


def test_more_products_come_closer_from_below():
    matrix = symmetric([float(value) for value in range(60)], 3)
    values = [largest([matrix], products).item() for products in (3, 6, 12, 24)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(59, rel=1e-2)
    assert max(values) <= 59 * (1 + 1e-12)
