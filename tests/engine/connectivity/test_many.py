"""Many networks in one order, and how far matchings of pairs are from one."""

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import nn

from engine.connectivity import (
    between,
    cycle_consistency,
    identity,
    match,
    match_many,
    permute,
    random_permutations,
    symmetry,
)
from engine.connectivity.blocks import as_arrays
from engine.connectivity.frank_wolfe import _between, _Objective
from engine.datasets import Shape
from engine.models import build

ROWS = Shape(100, (12,), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
KINDS = {
    "mlp": (lambda: build("mlp", ROWS, {"width": 16}), torch.zeros(2, 12)),
    "transformer": (
        lambda: build("transformer", TOKENS, {"width": 16, "heads": 2, "hidden": 12}),
        torch.zeros(2, 3, dtype=torch.int64),
    ),
}


def fresh(make, count):
    states = []
    for seed in range(count):
        torch.manual_seed(seed)
        states.append(make().state_dict())
    return states


@pytest.mark.parametrize("method", ["mean", "cycle"])
@pytest.mark.parametrize("kind", KINDS)
def test_copies_in_any_order_are_brought_together_to_the_bit(kind, method):
    make, example = KINDS[kind]
    model = make()
    found, base = symmetry(model, example), model.state_dict()
    states = [permute(found, random_permutations(found, np.random.default_rng(k)), base) for k in range(4)]
    many = match_many(model, states, example, method)
    assert many.distance_before > 0
    assert many.distance_after == 0
    assert all(torch.equal(state[name], many.aligned[0][name]) for state in many.aligned for name in base)
    for i, j in combinations(range(4), 2):
        moved = permute(found, between(found, many.permutations[i], many.permutations[j]), states[j])
        assert all(torch.equal(moved[name], states[i][name]) for name in base)


@pytest.mark.parametrize("method", ["mean", "cycle"])
def test_different_networks_come_closer_than_by_matching_each_to_the_first(method):
    make, example = KINDS["mlp"]
    states = fresh(make, 4)
    many = match_many(make(), states, example, method)
    star = [states[0], *(match(make(), states[0], one, example, null_pairs=0).aligned for one in states[1:])]
    squares = [
        sum(float((one[name].double() - other[name].double()).square().sum()) for name in one)
        for one, other in combinations(star, 2)
    ]
    assert many.distance_after < np.sqrt(np.mean(squares)) < many.distance_before
    pairs = {
        (i, j): between(many.symmetry, many.permutations[i], many.permutations[j])
        for i, j in combinations(range(4), 2)
    }
    assert cycle_consistency(many.symmetry, pairs).share == 1


def test_pairwise_matchings_disagree_around_cycles_as_a_loop_over_units_counts():
    make, example = KINDS["mlp"]
    states, model = fresh(make, 3), make()
    pairs = {
        (i, j): match(model, states[i], states[j], example, null_pairs=0).permutations
        for i, j in combinations(range(3), 2)
    }
    found = cycle_consistency(symmetry(model, example), pairs)
    for group, share in found.by_group.items():
        ab, bc, ac = (pairs[pair][group] for pair in ((0, 1), (1, 2), (0, 2)))
        assert share == np.mean([bc[ab[unit]] == ac[unit] for unit in range(16)])
    assert found.share == np.mean(list(found.by_group.values())) < 0.7


def test_the_relaxed_objective_at_permutations_and_its_slope():
    make, example = KINDS["transformer"]
    found, states = symmetry(make(), example), fresh(make, 3)
    objective = _Objective(found, [as_arrays(state) for state in states])
    drawn = [random_permutations(found, np.random.default_rng(k)) for k in range(6)]
    starts, ends = ([objective.vertex(one) for one in some] for some in (drawn[:3], drawn[3:]))
    moved = [permute(found, one, state) for one, state in zip(drawn[:3], states, strict=True)]
    expected = sum(
        float((one[name].double() * other[name].double()).sum())
        for one, other in combinations(moved, 2)
        for name in found.parameters
    )
    assert objective.value(starts) == pytest.approx(expected)
    mixed, reached = objective.farthest(starts, ends)
    on_a_grid = [objective.value(_between(starts, ends, share)) for share in np.linspace(0, 1, 201)]
    assert reached == pytest.approx(max(on_a_grid), rel=1e-3)
    assert reached >= max(on_a_grid) - 1e-9
    assert objective.value(mixed) == reached
    favoured = [objective.vertex(one) for one in objective.favoured(mixed)]
    step = 1e-6
    slope = (objective.value(_between(mixed, favoured, step)) - reached) / step
    for seed in range(20):
        other = [
            objective.vertex(random_permutations(found, np.random.default_rng([seed, k]))) for k in range(3)
        ]
        assert (objective.value(_between(mixed, other, step)) - reached) / step <= slope + 1e-3


def test_what_cannot_be_matched_is_named():
    make, example = KINDS["mlp"]
    states, model = fresh(make, 2), make()
    with pytest.raises(ValueError, match="`method` must be one of mean, cycle; got 'all'"):
        match_many(model, states, example, "all")
    with pytest.raises(ValueError, match="`states` must hold at least two networks; got 1"):
        match_many(model, states[:1], example)
    with pytest.raises(ValueError, match=r"`states\[1\]` has no `head.bias`"):
        match_many(model, [states[0], {k: v for k, v in states[1].items() if k != "head.bias"}], example)
    found = symmetry(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2)), torch.zeros(1, 2))
    one = identity(found)
    with pytest.raises(ValueError, match="at least three networks; got 2"):
        cycle_consistency(found, {(0, 1): one})
    with pytest.raises(ValueError, match=r"\(1, 2\) is missing"):
        cycle_consistency(found, {(0, 1): one, (0, 2): one})
