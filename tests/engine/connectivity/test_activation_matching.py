"""Matching by activations, and the correlations it rests on."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.connectivity import match, permute, random_permutations, symmetry
from engine.connectivity.activation_matching import match_activations, places
from engine.connectivity.covariance import CrossCorrelation
from engine.connectivity.tracing import trace
from engine.datasets import Shape
from engine.models import build

ROWS = Shape(100, (12,), 5, "classes")
IMAGES = Shape(100, (3, 9, 10), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
SERIES = Shape(100, (6, 2), 3, "values")

PLANTS = [
    ("mlp", ROWS, {"width": 16, "activation": "tanh"}),
    ("mlp", ROWS, {"width": 16, "norm": "batch"}),
    ("residual-mlp", ROWS, {"width": 16, "blocks": 3, "norm": "layer"}),
    ("cnn", IMAGES, {"width": 6}),
    ("resnet", IMAGES, {"depth": 8, "width_factor": 0.25}),
    ("transformer", TOKENS, {"width": 32, "hidden": 24, "norm": "layer"}),
    ("gru", SERIES, {"width": 16}),
]


def examples(shape, count):
    torch.manual_seed(1)
    if shape.tokens is not None:
        return torch.randint(0, shape.tokens, (count, *shape.inputs))
    return torch.randn(count, *shape.inputs)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_correlations_from_batches_are_those_of_the_whole(offset):
    generator = np.random.default_rng(0)
    a = generator.normal(size=(200, 5)) + offset
    b = generator.normal(size=(200, 5)) @ generator.normal(size=(5, 5)) + a - offset
    whole = np.corrcoef(a.T, b.T)[:5, 5:]
    for size in (1, 7, 64, 200):
        streamed = CrossCorrelation(5)
        for start in range(0, 200, size):
            streamed.add(a[start : start + size], b[start : start + size])
        np.testing.assert_allclose(streamed.correlation(), whole, atol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e7])
def test_a_unit_that_never_changes_correlates_0_with_every_other(constant):
    values = np.random.default_rng(0).normal(size=(50, 3))
    dead = values.copy()
    dead[:, 1] = constant
    streamed = CrossCorrelation(3)
    for start in range(0, 50, 8):
        streamed.add(dead[start : start + 8], values[start : start + 8])
    correlation = streamed.correlation()
    assert np.isfinite(correlation).all()
    assert (correlation[1] == 0).all()
    assert correlation[0, 0] == pytest.approx(1)


@pytest.mark.parametrize(("name", "shape", "settings"), PLANTS, ids=str)
def test_a_planted_permutation_is_recovered_to_the_bit(name, shape, settings):
    inputs, model = examples(shape, 20 if shape is IMAGES else 100), build(name, shape, settings)
    found = symmetry(model, inputs[:2])
    for seed in range(8):
        torch.manual_seed(seed)
        fresh = build(name, shape, settings).state_dict()
        a = {key: value + 0.1 * torch.rand_like(value) for key, value in fresh.items()}
        b = permute(found, random_permutations(found, np.random.default_rng(seed)), a)
        matching = match(model, a, b, inputs[:2], "activations", inputs, null_pairs=0)
        assert all(torch.equal(matching.aligned[key], a[key]) for key in a)


def test_the_result_is_the_best_assignment_of_correlations_whatever_the_batches():
    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)) for _ in range(2))
    inputs, found = torch.randn(70, 4), symmetry(one, torch.randn(2, 4))
    with torch.no_grad():
        hidden = [torch.tanh(net[0](inputs)).double().numpy() for net in (one, other)]
    correlation = np.corrcoef(hidden[0].T, hidden[1].T)[:6, 6:]
    results = [
        match_activations(one, found, one.state_dict(), other.state_dict(), inputs, size)["0"]
        for size in (16, 70)
    ]
    assert np.array_equal(*results)
    best = correlation[np.arange(6), results[0]].sum()
    generator = np.random.default_rng(0)
    assert all(correlation[np.arange(6), generator.permutation(6)].sum() <= best for _ in range(2000))


def test_dead_units_do_not_disturb_the_others():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        model[0].bias[:3] = -100
        model[0].bias[3:] = 5
    inputs, a = torch.randn(60, 4), model.state_dict()
    found = symmetry(model, inputs[:2])
    planted = random_permutations(found, np.random.default_rng(0))
    matching = match(model, a, permute(found, planted, a), inputs[:2], "activations", inputs, null_pairs=0)
    assert torch.equal(matching.aligned["0.weight"][3:], a["0.weight"][3:])
    assert torch.equal(matching.aligned["0.bias"], a["0.bias"])


def test_groups_are_watched_behind_their_nonlinearities_or_where_they_are_summed():
    model = build("residual-mlp", ROWS, {"width": 6, "blocks": 3})
    traced = trace(model, examples(ROWS, 2))
    nodes = list(traced.recording.operations.graph.nodes)
    watched = [(place.site[0], str(nodes[place.operation].target)) for place in places(traced)]
    assert watched == [
        *[("stem", "aten.add.Tensor")] * 3,
        *[(f"blocks.{block}.first", "aten.relu.default") for block in range(3)],
    ]
    traced = trace(build("cnn", IMAGES, {"width": 3}), examples(IMAGES, 2))
    first = places(traced)[0]
    assert first.units(torch.randn(2, 3, 9, 10)).shape == (180, 3)
