import numpy as np
import pytest
import torch

from engine.models import build
from engine.training.ensemble import Ensemble, initial
from engine.training.optimizers import StackedOptimizer
from engine.training.recycling import recycle_dormant, units_of
from tests.engine.training.toys import CPU, TOYS, ran, seeds, stack_of, toy


def dead(optimizer="adam"):
    """Return three replicas, of which the second has a dead unit, 2, and the third a dead one, 0."""
    study = toy(optimizer=optimizer, momentum=0.9 if optimizer == "sgd" else 0.0)

    def make():
        return build("mlp", study.shape, {"width": 4, "depth": 1})

    ensemble = Ensemble(make, [0, 1, 1], CPU, torch.float64)
    for replica, unit in ((1, 2), (2, 0)):
        ensemble.parameters["hidden.0.linear.bias"][replica, unit] = -1e3
    adam = StackedOptimizer(ensemble.parameters, study)
    inputs = torch.from_numpy(TOYS["toy-classes"].load().train_inputs)
    random = torch.Generator().manual_seed(0)
    adam.step(
        {
            name: torch.randn(value.shape, generator=random, dtype=torch.float64)
            for name, value in ensemble.parameters.items()
        },
        1e-3,
    )
    return ensemble, adam, inputs, make


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_dead_units_and_nothing_else_are_recycled(optimizer):
    ensemble, moving, inputs, make = dead(optimizer)
    before = {name: value.clone() for name, value in ensemble.parameters.items()}
    moments = [{name: value.clone() for name, value in moment.items()} for moment in moving.moments]
    outputs = ensemble.outputs(inputs)
    recycle_dormant(ensemble, moving, inputs, 0.0, make, [(0, 10), (1, 10), (1, 10)])
    torch.testing.assert_close(ensemble.outputs(inputs), outputs, rtol=0, atol=1e-12)
    changed = {name: torch.zeros_like(value, dtype=torch.bool) for name, value in before.items()}
    for replica, unit in ((1, 2), (2, 0)):
        changed["hidden.0.linear.weight"][replica, unit] = True
        changed["hidden.0.linear.bias"][replica, unit] = True
        changed["head.weight"][replica, :, unit] = True
        assert (ensemble.parameters["head.weight"][replica, :, unit] == 0).all()
        assert ensemble.parameters["hidden.0.linear.bias"][replica, unit].abs() < 1
    for name, mask in changed.items():
        now = ensemble.parameters[name]
        assert (now[~mask] == before[name][~mask]).all()
        assert (now[mask] != before[name][mask]).all()
        for moment, old in zip(moving.moments, moments, strict=True):
            assert (moment[name][mask] == 0).all()
            assert (moment[name][~mask] == old[name][~mask]).all()
            assert (old[name] != 0).all()


def test_fresh_weights_are_a_function_of_the_seed_and_the_step():
    def recycled(pairs):
        ensemble, moving, inputs, make = dead()
        ensemble.parameters["hidden.0.linear.bias"][2, 0] = 0.0
        ensemble.parameters["hidden.0.linear.bias"][2, 2] = -1e3  # the same unit in both
        recycle_dormant(ensemble, moving, inputs, 0.0, make, pairs)
        weight = ensemble.parameters["hidden.0.linear.weight"]
        return weight[1, 2], weight[2, 2]

    same = recycled([(0, 10), (1, 10), (1, 10)])
    assert (same[0] == same[1]).all()
    other_step, other_seed = recycled([(0, 10), (1, 11), (2, 10)])
    assert (other_step != same[0]).all()
    assert (other_seed != same[0]).all()
    # They are drawn as at the start of a training, not the weights of its start.
    _, _, _, make = dead()
    start = initial(make, [1], CPU, torch.float64)["hidden.0.linear.weight"][0]
    assert (same[0] != start[2]).all()
    assert same[0].abs().max() <= 1 / np.sqrt(5)


def test_without_dormant_units_nothing_is_drawn(monkeypatch):
    ensemble, moving, inputs, make = dead()
    ensemble.parameters["hidden.0.linear.bias"].zero_()
    before = {name: value.clone() for name, value in ensemble.parameters.items()}
    monkeypatch.setattr("engine.training.recycling.initial", lambda *args: pytest.fail("drawn"))
    recycle_dormant(ensemble, moving, inputs, 0.0, make, [(0, 10), (1, 10), (1, 10)])
    assert all((ensemble.parameters[name] == value).all() for name, value in before.items())


def test_units_are_those_that_the_model_tells():
    assert [one.activation for one in units_of(build("mlp", toy().shape, {"depth": 2}))] == [
        "hidden.0.activation",
        "hidden.1.activation",
    ]
    assert units_of(build("linear-network", toy().shape, {})) == ()


def test_a_training_recycles_every_so_many_steps():
    """Up to the first recycling it is the training without; a unit recycled there shows at that very step."""
    changes = {"batch_size": 13, "epochs": 8, "evaluate_every": 4, "model_settings": {"width": 6, "depth": 1}}
    plain, study = toy(**changes), toy(**changes, redo_every=6, redo_threshold=0.9, checkpoints=(4, 8, 12))
    without, got = ran(plain, seeds(plain, 0)), ran(study, seeds(study, 0))
    assert got.losses()[:6] == without.losses()[:6]
    assert got.losses()[6] != without.losses()[6]
    stack = stack_of(study, seeds(study, 0))
    stack.advance(12)  # step 12 recycles: an evaluation there sees the recycled units
    zeros = (stack.weights(np.array([True])).parameters["head.weight"][0] == 0).all(0)
    assert zeros.any()
    assert ((got.kept[0, 12]["head.weight"] == 0).all(0) == zeros).all()
