import dataclasses

import numpy as np
import pytest
import torch

from engine.studies import studies
from engine.training.device_data import DeviceData
from engine.training.record import Replica
from engine.training.stack import Stack
from tests.engine.training.toys import ran, seeds, toy

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

KINDS = {
    "momentum": {"momentum": 0.9, "clip_norm": 1.0},
    "adam": {"optimizer": "adam", "lr": 0.02},
    "adamw": {"optimizer": "adamw", "lr": 0.02, "weight_decay": 0.1, "schedule": "cosine"},
    "tokens": {
        "dataset": "toy-tokens",
        "model": "transformer",
        "model_settings": {"width": 8, "heads": 2, "hidden": 8},
        "optimizer": "adamw",
        "lr": 0.01,
    },
}


def plain_step(stack: Stack) -> torch.Tensor:
    """Take a step without a recording of it; return the losses."""
    where = stack._enter(stack.step)  # draws the orders of a new epoch
    batch = stack._orders[:, where]
    inputs, targets = (part[batch] for part in stack._data.train)
    result = stack.ensemble.gradients(inputs, targets)
    stack._optimizer.step(result.gradients, stack._step_size(stack.step))
    stack.step += 1
    return result.losses


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_graphed_step_is_the_plain_step(kind):
    """For 20 steps, 5 of them of a smaller last batch."""
    study = toy(**KINDS[kind])
    data = DeviceData.of(study, torch.device("cuda"))
    graphed, plain = (Stack(study, dict(enumerate(seeds(study, 0, 1, 2))), data) for _ in range(2))
    for _ in range(20):
        torch.testing.assert_close(graphed.take(1).losses[0], plain_step(plain), rtol=0, atol=1e-12)
    assert len(graphed._graphed) == 2
    everyone = np.ones(3, bool)
    for name, value in graphed.weights(everyone).parameters.items():
        np.testing.assert_allclose(value, plain.weights(everyone).parameters[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_gpu_goes_on_from_a_state_to_the_same_bits(kind, dtype):
    device = torch.device("cuda")
    study = toy(**KINDS[kind], dtype=dtype)
    replicas = seeds(study, 0, 1, 2)
    whole = ran(study, replicas, due=lambda stack: True, device=device)
    state = next(one.state for one in whole.stretches if one.state is not None)
    again = ran(study, replicas, states=[state], device=device)
    assert again.rows.keys() == {key for key in whole.rows if key[1] > state.step}
    for key, row in again.rows.items():
        for name, value in row.items():
            np.testing.assert_array_equal(value, whole.rows[key][name])
    for key, weights in again.kept.items():
        for name, value in weights.items():
            np.testing.assert_array_equal(value, whole.kept[key][name])


def test_a_gpu_trains_as_a_cpu():
    study = toy(momentum=0.9)
    replicas = seeds(study, 0, 1)
    on = {name: ran(study, replicas, device=torch.device(name)) for name in ("cpu", "cuda")}
    assert on["cpu"].rows.keys() == on["cuda"].rows.keys()
    for key, row in on["cpu"].rows.items():
        for name, value in row.items():
            # The step size is a float32 there: a relative difference of up to 6e-8.
            np.testing.assert_allclose(on["cuda"].rows[key][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_study_trains_on_a_gpu_while_it_is_measured():
    """Its steps of other sizes are recorded while the metrics of earlier ones are computed."""
    study = dataclasses.replace(studies()["digits-shuffling"], epochs=2, evaluate_every=1)
    replicas = [Replica(arm.name, seed) for arm in study.arms for seed in range(2)]
    found = ran(study, replicas, device=torch.device("cuda"))
    assert {step for _, step in found.rows} == set(range(study.steps + 1))
