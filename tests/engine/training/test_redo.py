"""ReDo on a small convolutional net, unit by unit."""

import torch
from torch.nn import functional

from engine.models._units import Units
from engine.training.redo import dormant, recycle

SEEDS = 2
SHAPES = {"conv.weight": (4, 1, 2, 2), "conv.bias": (4,), "mid.weight": (5, 4, 1, 1), "out.weight": (3, 5)}
UNITS = (
    Units("first", ("conv.weight", "conv.bias"), ("mid.weight",)),
    Units("second", ("mid.weight",), ("out.weight",)),
)
INPUTS = torch.rand(6, 1, 3, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def stacked(seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(SEEDS, *shape, generator=generator, dtype=torch.float64)
        for name, shape in SHAPES.items()
    }


def outputs(parameters, seed):
    first = functional.conv2d(INPUTS, parameters["conv.weight"][seed], parameters["conv.bias"][seed]).relu()
    second = functional.conv2d(first, parameters["mid.weight"][seed]).relu()
    return second.mean((2, 3)) @ parameters["out.weight"][seed].T, {"first": first, "second": second}


def hidden(parameters):
    each = [outputs(parameters, seed)[1] for seed in range(SEEDS)]
    return {name: torch.stack([seen[name] for seen in each]) for name in each[0]}


def copied(tensors):
    return {name: value.clone() for name, value in tensors.items()}


FIRST = torch.tensor([[False, True, False, True], [False, False, False, False]])
SECOND = torch.tensor([[False, False, True, False, False], [True, False, False, False, False]])
CHOSEN = {"first": FIRST, "second": SECOND}


def expected(before, incoming):
    """Return what is to become of a tensor of each name, entry by entry."""
    after = copied(before)
    for seed in range(SEEDS):
        for unit in FIRST[seed].nonzero()[:, 0]:
            for name in ("conv.weight", "conv.bias"):
                after[name][seed, unit] = incoming[name][seed, unit]
        for unit in SECOND[seed].nonzero()[:, 0]:
            after["mid.weight"][seed, unit] = incoming["mid.weight"][seed, unit]
        for unit in FIRST[seed].nonzero()[:, 0]:
            after["mid.weight"][seed, :, unit] = 0
        for unit in SECOND[seed].nonzero()[:, 0]:
            after["out.weight"][seed, :, unit] = 0
    return after


def test_incoming_parameters_become_fresh_outgoing_zero_and_the_moments_of_both_zero():
    parameters, fresh, moments = stacked(1), stacked(2), [stacked(3), stacked(4)]
    before, moments_before = copied(parameters), [copied(moment) for moment in moments]
    recycle(parameters, moments, UNITS, CHOSEN, fresh)
    torch.testing.assert_close(parameters, expected(before, fresh), rtol=0, atol=0)
    zero = {name: torch.zeros_like(value) for name, value in fresh.items()}
    for moment, earlier in zip(moments, moments_before, strict=True):
        torch.testing.assert_close(moment, expected(earlier, zero), rtol=0, atol=0)


def test_tensors_change_in_place():
    parameters, moments = stacked(1), [stacked(3)]
    held = [value.data_ptr() for value in (*parameters.values(), *moments[0].values())]
    recycle(parameters, moments, UNITS, CHOSEN, stacked(2))
    assert [value.data_ptr() for value in (*parameters.values(), *moments[0].values())] == held


def test_where_no_unit_is_chosen_nothing_changes():
    parameters, moments = stacked(1), [stacked(3)]
    before, moments_before = copied(parameters), copied(moments[0])
    none = {name: torch.zeros_like(mask) for name, mask in CHOSEN.items()}
    recycle(parameters, moments, UNITS, none, stacked(2))
    torch.testing.assert_close(parameters, before, rtol=0, atol=0)
    torch.testing.assert_close(moments[0], moments_before, rtol=0, atol=0)


def test_a_net_says_the_same_after_its_dead_units_are_recycled_which_can_then_speak():
    parameters = stacked(1)
    parameters["conv.bias"][0, 1] = -100.0
    parameters["mid.weight"][1, 2] = -1.0
    before = [outputs(parameters, seed)[0] for seed in range(SEEDS)]
    chosen = dormant(hidden(parameters), 0.0)
    assert chosen["first"][0, 1]
    assert chosen["second"][1, 2]
    fresh = {name: value.abs() for name, value in stacked(2).items()}
    recycle(parameters, [], UNITS, chosen, fresh)
    for seed in range(SEEDS):
        torch.testing.assert_close(outputs(parameters, seed)[0], before[seed], rtol=1e-12, atol=1e-12)
    assert not dormant(hidden(parameters), 0.0)["first"][0, 1]


def test_a_replica_that_is_not_finite_is_left_alone_and_spoils_no_neighbour():
    parameters, clean, fresh = stacked(1), stacked(1), stacked(2)
    parameters["conv.weight"][1, 0, 0, 0, 0] = torch.nan
    before = copied(parameters)
    for each in (parameters, clean):
        recycle(each, [], UNITS, dormant(hidden(each), 0.8), fresh)
    assert not torch.equal(clean["conv.weight"][0], stacked(1)["conv.weight"][0])
    for name, value in parameters.items():
        assert torch.equal(value[0], clean[name][0])
        torch.testing.assert_close(value[1], before[name][1], rtol=0, atol=0, equal_nan=True)
