import numpy as np
import pytest
import torch

from engine.training.optimizers import StackedOptimizer, clipped
from tests.engine.training.toys import toy

KINDS = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "adam": {"optimizer": "adam"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
}


def parameters(seeds=3):
    random = torch.Generator().manual_seed(1)
    shapes = {"w": (seeds, 4, 2), "b": (seeds, 4)}
    return {name: torch.randn(shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()}


def gradients(step, seeds=3):
    random = torch.Generator().manual_seed(100 + step)
    shapes = {"w": (seeds, 4, 2), "b": (seeds, 4)}
    return {name: torch.randn(shape, generator=random, dtype=torch.float64) for name, shape in shapes.items()}


def formula(kind, value, moments, gradient, step, lr):
    """The update rules as their papers print them, in NumPy."""
    if kind == "adamw":
        value = value - lr * 0.1 * value
    if kind in ("adam", "adamw"):
        moments[0] = 0.9 * moments[0] + 0.1 * gradient
        moments[1] = 0.999 * moments[1] + 0.001 * gradient**2
        mean, square = moments[0] / (1 - 0.9 ** (step + 1)), moments[1] / (1 - 0.999 ** (step + 1))
        return value - lr * mean / (np.sqrt(square) + 1e-8)
    if kind == "sgd":
        return value - lr * gradient
    moments[0] = 0.9 * moments[0] + gradient
    return value - lr * (gradient + 0.9 * moments[0] if kind == "nesterov" else moments[0])


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_updates_are_those_of_the_formula_with_the_step_size_of_each_step(kind):
    stacked = parameters()
    optimizer = StackedOptimizer(stacked, toy(**KINDS[kind]))
    expected = {name: value.numpy().copy() for name, value in stacked.items()}
    moments = {name: [np.zeros_like(value), np.zeros_like(value)] for name, value in expected.items()}
    for step in range(5):
        lr = 0.1 / (step + 1)
        seen = gradients(step)
        optimizer.step(seen, lr)
        for name in expected:
            expected[name] = formula(kind, expected[name], moments[name], seen[name].numpy(), step, lr)
            np.testing.assert_allclose(stacked[name], expected[name], rtol=0, atol=1e-12)
    assert len(optimizer.moments) == {"sgd": 0, "adam": 2, "adamw": 2}.get(kind, 1)
    for at, moment in enumerate(optimizer.moments):
        for name, value in moment.items():
            np.testing.assert_allclose(value, moments[name][at], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_who_stays_and_who_goes_on_from_a_state_updates_the_same(kind):
    whole, left, resumed = parameters(), parameters(), parameters()
    study = toy(**KINDS[kind], clip_norm=1.0)
    optimizers = [StackedOptimizer(one, study) for one in (whole, left)]
    for step in range(3):
        for optimizer in optimizers:
            optimizer.step(gradients(step), 0.1)
    state = {name: value.clone() for name, value in optimizers[0].state().items()}
    for name, value in resumed.items():
        value.copy_(whole[name])
    again = StackedOptimizer(resumed, study)
    again.restore(state)
    alive = torch.tensor([True, False, True])
    left = {name: value[alive] for name, value in left.items()}
    optimizers[1].keep(alive, left)
    for step in range(3, 6):
        optimizers[0].step(gradients(step), 0.1)
        again.step(gradients(step), 0.1)
        optimizers[1].step({name: value[alive] for name, value in gradients(step).items()}, 0.1)
    for name, value in whole.items():
        assert (resumed[name] == value).all()
        torch.testing.assert_close(left[name], value[alive], rtol=0, atol=1e-15)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("before", [0, 2])
def test_rewound_steps_leave_no_trace(kind, before):
    """What a captured step needs: the steps that warm it up must be undone in place."""
    taken, expected = parameters(), parameters()
    study = toy(**KINDS[kind])
    optimizer, other = StackedOptimizer(taken, study), StackedOptimizer(expected, study)
    for step in range(before):
        optimizer.step(gradients(step), 0.1)
        other.step(gradients(step), 0.1)
    values = {name: value.clone() for name, value in taken.items()}
    state = {name: value.clone() for name, value in optimizer.state().items()}
    for step in range(3):
        optimizer.step(gradients(50 + step), 0.1)
    held = [value for moment in optimizer.moments for value in moment.values()]
    for name, value in taken.items():
        value.copy_(values[name])
    optimizer.rewind(state)
    for step in range(before, before + 3):
        optimizer.step(gradients(step), 0.1)
        other.step(gradients(step), 0.1)
    for name, value in expected.items():
        torch.testing.assert_close(taken[name], value, rtol=0, atol=1e-15)
    now = [value for moment in optimizer.moments for value in moment.values()]
    assert all(one is value for one, value in zip(held, now, strict=True))


def test_clipping_is_that_of_torch_replica_by_replica():
    seen = gradients(0)
    seen["w"][0] *= 1e-3
    seen["b"][0] *= 1e-3
    seen["w"][2] = 0
    seen["b"][2] = 0
    got = clipped(seen, 0.5)
    for replica in range(3):
        parts = [torch.nn.Parameter(torch.zeros_like(value[replica])) for value in seen.values()]
        for part, value in zip(parts, seen.values(), strict=True):
            part.grad = value[replica].clone()
        torch.nn.utils.clip_grad_norm_(parts, 0.5)
        for part, value in zip(parts, got.values(), strict=True):
            torch.testing.assert_close(value[replica], part.grad, rtol=1e-5, atol=0)
    long = torch.cat([value[1].flatten() for value in got.values()]).norm().item()
    assert long == pytest.approx(0.5, rel=1e-14)
    assert all((got[name][0] == seen[name][0]).all() for name in seen)
