"""Permutations applied to weights, joined and undone, against loops over entries."""

import numpy as np
import pytest
import torch
from torch import nn

from engine.connectivity import (
    Axis,
    Factor,
    Symmetry,
    compose,
    identity,
    inverse,
    permute,
    random_permutations,
    symmetry,
)

MODEL = nn.Sequential(nn.Conv2d(2, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
EXAMPLE = torch.randn(2, 2, 3, 3)
HEADS = Symmetry(
    {"heads": 2, "inside": 3, "units": 2},
    {
        "weight": (
            Axis(((Factor(6, "heads", "inside"),), (Factor(2, "units"), Factor(2)))),
            Axis(((Factor(2),),)),
        )
    },
    {"inside": "heads"},
    (),
    ("weight",),
)


def test_permuting_is_what_it_is_for_each_entry():
    found = symmetry(MODEL, EXAMPLE)
    state = MODEL.state_dict()
    order = np.array([2, 0, 1])
    moved = permute(found, {"0": order}, state)
    for new, old in enumerate(order):
        for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
            assert torch.equal(moved[name][new], state[name][old])
        for position in range(4):
            assert torch.equal(
                moved["4.weight"][:, 4 * new + position], state["4.weight"][:, 4 * old + position]
            )
    assert torch.equal(moved["4.bias"], state["4.bias"])
    assert moved["4.bias"].data_ptr() != state["4.bias"].data_ptr()
    assert moved["1.num_batches_tracked"].dtype == torch.int64


def test_units_inside_blocks_are_reordered_in_each_block_by_itself():
    weight = np.arange(20, dtype=np.float32).reshape(10, 2)
    permutations = {
        "heads": np.array([1, 0]),
        "inside": np.array([[2, 0, 1], [0, 2, 1]]),
        "units": np.array([1, 0]),
    }
    moved = permute(HEADS, permutations, {"weight": weight})["weight"]
    assert moved.dtype == np.float32
    assert moved[:, 0].tolist() == [2 * row for row in (5, 3, 4, 0, 2, 1, 8, 9, 6, 7)]


@pytest.mark.parametrize("seed", range(5))
def test_composition_and_inverse_do_what_they_say(seed):
    generator = np.random.default_rng(seed)
    state = {"weight": generator.normal(size=(10, 2))}
    first, second = (random_permutations(HEADS, generator) for _ in range(2))
    one_after_the_other = permute(HEADS, second, permute(HEADS, first, state))
    assert np.array_equal(
        permute(HEADS, compose(HEADS, first, second), state)["weight"], one_after_the_other["weight"]
    )
    back = permute(HEADS, inverse(HEADS, first), permute(HEADS, first, state))
    assert np.array_equal(back["weight"], state["weight"])
    assert np.array_equal(permute(HEADS, identity(HEADS), state)["weight"], state["weight"])


def test_random_permutations_are_a_function_of_the_generator_and_reach_every_order():
    drawn = [random_permutations(HEADS, np.random.default_rng(seed))["inside"] for seed in range(100)]
    assert np.array_equal(drawn[3], random_permutations(HEADS, np.random.default_rng(3))["inside"])
    assert {tuple(order[0]) for order in drawn} == {tuple(order[1]) for order in drawn}
    assert len({tuple(order[0]) for order in drawn}) == 6


@pytest.mark.parametrize(
    ("permutations", "change", "message"),
    [
        ({"5": np.arange(3)}, {}, "`permutations` has a group `5` .* its groups are 0"),
        ({"0": np.array([0, 0, 1])}, {}, "`permutations` of `0` must hold every number from 0 to 2 once"),
        ({"0": np.arange(4)}, {}, r"`permutations` of `0` .* got shape \(4,\)"),
        ({}, {"1.bias": None}, "`state` has no `1.bias`"),
        (
            {},
            {"0.weight": torch.ones(3, 2, 2)},
            r"`0.weight` must have the shape \(3, 2, 2, 2\) .* \(3, 2, 2\)",
        ),
        ({}, {"6.weight": torch.ones(3)}, "`state` has `6.weight`, which the network does not"),
    ],
)
def test_what_does_not_fit_is_named(permutations, change, message):
    state = {**MODEL.state_dict(), **change}
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(ValueError, match=message):
        permute(symmetry(MODEL, EXAMPLE), permutations, state)
