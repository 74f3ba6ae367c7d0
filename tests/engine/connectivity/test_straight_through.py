"""The straight-through estimator ends at least as low as what it starts from."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from engine.connectivity import match, permute, random_permutations, symmetry
from engine.connectivity.straight_through import match_straight_through, usual_loss


def trained(seed, data, normalized):
    torch.manual_seed(seed)
    norm = nn.BatchNorm1d(16) if normalized else nn.Identity()
    model = nn.Sequential(nn.Linear(5, 16), norm, nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), 0.1, 0.9)
    for _ in range(60):
        optimizer.zero_grad()
        functional.cross_entropy(model(data[0]), data[1]).backward()
        optimizer.step()
    return model


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 5, generator=generator)
    return inputs, inputs[:, :3].argmax(1)


def midpoint_loss(model, a, b, data):
    state = {name: (a[name] + b[name]) / 2 for name in a}
    with torch.no_grad():
        return float(functional.cross_entropy(functional_call(model, state, (data[0],)), data[1]))


def test_a_planted_permutation_stays_recovered(data):
    model = trained(0, data, normalized=False)
    a, found = model.state_dict(), symmetry(model, data[0][:2])
    b = permute(found, random_permutations(found, np.random.default_rng(0)), a)
    matching = match(model, a, b, data[0][:2], "ste", data, null_pairs=0)
    assert all(torch.equal(matching.aligned[name], a[name]) for name in a)


@pytest.mark.parametrize("normalized", [False, True])
def test_the_loss_half_way_is_not_above_that_of_where_it_started(data, normalized):
    model, other = (trained(seed, data, normalized) for seed in (1, 2))
    a, b, found = model.state_dict(), other.state_dict(), symmetry(model, data[0][:2])
    start = random_permutations(found, np.random.default_rng(0))
    best = match_straight_through(model, found, a, b, data, start, seed=0, steps=60)
    if normalized:
        model.train()
    before, after = (midpoint_loss(model, a, permute(found, one, b), data) for one in (start, best))
    assert after < before
    again = match_straight_through(model, found, a, b, data, start, seed=0, steps=60)
    assert all(np.array_equal(best[name], again[name]) for name in best)


def test_targets_that_are_numbers_have_a_squared_error():
    outputs = torch.randn(4, 2)
    assert usual_loss(outputs, outputs.double() + 2) == pytest.approx(4)
    assert usual_loss(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)) == pytest.approx(np.log(2))
