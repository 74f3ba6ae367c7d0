import numpy as np
import pytest
import torch

from engine.training.orderings import ordering
from tests.engine.training.toys import ROWS, TOYS, ran, seeds, stack_of, toy

QUADRATIC = {
    "dataset": "toy-values",
    "model": "linear-network",
    "model_settings": {"depth": 0, "bias": False},
    "batch_size": 0,
    "epochs": 400,
    "evaluate_every": 200,
    "cadence": {"lyapunov": 200},
}


def hessian():
    inputs = TOYS["toy-values"].load().train_inputs
    return 2 * inputs.T @ inputs / len(inputs)


# Contracting a little, strongly (within 200 steps 1e-8 would fall to 1e-30), and across the minimum.
@pytest.mark.parametrize("product", [0.1, 0.5, 1.95])
def test_of_gradient_descent_on_a_quadratic_it_is_the_log_of_the_spectral_radius(product):
    eigenvalues = np.linalg.eigvalsh(hessian())
    lr = product / eigenvalues[-1]
    study = toy(**QUADRATIC, lr=lr)
    got = ran(study, seeds(study, 0, 1)).rows
    expected = np.log(np.abs(1 - lr * eigenvalues).max())
    for replica in (0, 1):
        assert got[replica, 400]["lyapunov"] == pytest.approx(expected, rel=5e-3)
    assert "lyapunov" not in got[0, 0]


def test_of_momentum_it_is_that_of_the_companion_matrix():
    eigenvalues = np.linalg.eigvalsh(hessian())
    lr, momentum = 0.3 / eigenvalues[-1], 0.9
    radii = [
        np.abs(np.linalg.eigvals([[1 - lr * one, -lr * momentum], [one, momentum]])).max()
        for one in eigenvalues
    ]
    study = toy(**QUADRATIC, lr=lr, momentum=momentum)
    got = ran(study, seeds(study, 0)).rows[0, 400]["lyapunov"]
    assert got == pytest.approx(np.log(max(radii)), rel=0.03)


def test_it_is_the_growth_of_a_small_difference_between_two_trainings():
    """Against two plain trainings whose distance stays in the linear range for a few steps."""
    study = toy(optimizer="adam", lr=0.05, evaluate_every=6, cadence={"lyapunov": 6}, epochs=2)
    stack = stack_of(study, seeds(study, 3))
    names = list(stack.ensemble.parameters)
    start = [stack.ensemble.parameters[name][0].clone() for name in names]
    beside = [stack._twin._ensemble.parameters[name][0].clone() for name in names]
    split = TOYS["toy-classes"].load()
    ends = []
    for weights in (start, beside):
        parameters = [value.clone().requires_grad_() for value in weights]
        optimizer = torch.optim.Adam(parameters, lr=0.05)
        for step in range(6):
            rows = ordering("RR").order(ROWS, 3, step // 4)[step % 4 * 8 : step % 4 * 8 + 8]
            outputs = stack.ensemble.forward(
                dict(zip(names, parameters, strict=True)), torch.from_numpy(split.train_inputs[rows])
            )
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(outputs, torch.from_numpy(split.train_targets[rows])).backward()
            optimizer.step()
        ends.append(torch.cat([value.detach().flatten() for value in parameters]))
    first = [torch.cat([value.flatten() for value in weights]) for weights in (start, beside)]
    assert (first[1] - first[0]).norm().item() == pytest.approx(1e-8, rel=1e-6)
    expected = np.log((ends[1] - ends[0]).norm().item() / 1e-8) / 6
    got = stack.advance(6).snapshot.measure().columns["lyapunov"][0]
    # Adam's steps are not linear in a difference of the size of its epsilon.
    assert got == pytest.approx(expected, abs=0.02)


def test_a_twin_that_leaves_takes_no_other_with_it():
    study = toy(evaluate_every=5, cadence={"lyapunov": 5}, momentum=0.9)
    stack, alone = stack_of(study, seeds(study, 0, 1, 2)), stack_of(study, seeds(study, 2))
    for one in (stack, alone):
        one.advance(3)
    stack.keep(np.array([False, False, True]))
    got, expected = (one.advance(5).snapshot.measure().columns["lyapunov"] for one in (stack, alone))
    assert got == pytest.approx(expected, abs=1e-6)
    again, expected = (one.advance(10).snapshot.measure().columns["lyapunov"] for one in (stack, alone))
    assert again == pytest.approx(expected, abs=1e-6)
    assert again != pytest.approx(got, abs=1e-4)
