import numpy as np
import pytest
import torch

from engine.models import build
from engine.training.orderings import ordering
from tests.engine.training.toys import TOYS, seeds, stack_of, toy

EXTRA = {
    "lyapunov": 10,
    "tail_average_risk": 10,
    "sharpness": 10,
    "excess_risk": 10,
    "distance_from_init": 10,
}


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 8},
        {"optimizer": "adam", "ordering": "GraB", "redo_every": 5, "redo_threshold": 0.8},
        {
            "dataset": "toy-values",
            "model": "linear-network",
            "model_settings": {"depth": 0, "bias": False},
            "lr": 0.02,
        },
    ],
    ids=["plain", "GraB with ReDo", "linear"],
)
def test_a_snapshot_holds_still_while_training_goes_on(changes):
    """It is measured on another thread while the next stretch trains."""
    redo = {} if "redo_every" in changes else EXTRA
    measured = []
    for further in (0, 20):
        study = toy(**{"per_layer": True, "cadence": redo} | changes)
        stack = stack_of(study, seeds(study, 0, 1, 2))
        stack.advance(10)
        snapshot = stack.advance(20).snapshot
        if further:
            stack.advance(20 + further // 2)
            stack.keep(np.array([False, True, True]))
        measured.append(snapshot.measure())
    assert list(measured[0].replicas) == [0, 1, 2]
    assert measured[0].columns.keys() == measured[1].columns.keys()
    assert len(measured[0].columns) > 20
    for name, values in measured[0].columns.items():
        np.testing.assert_array_equal(values, measured[1].columns[name], err_msg=name)


@pytest.mark.parametrize("name", ["RR", "RS2"])
def test_own_batch_risk_is_the_mean_over_the_batches_about_to_be_seen(name):
    study = toy(ordering=name, epochs=8, evaluate_every=12, **({"fraction": 0.8} if name == "RS2" else {}))
    stack = stack_of(study, seeds(study, 2, 4))
    advance = stack.advance(12)
    got = advance.snapshot.measure().columns["own_batch_risk"]
    split = TOYS["toy-classes"].load()
    inputs, targets = torch.from_numpy(split.train_inputs), torch.from_numpy(split.train_targets)
    kept = stack.weights(np.array([True, True]))
    for replica, seed in enumerate([2, 4]):
        module = build(study.model, study.shape, study.model_settings).double()
        module.load_state_dict(
            {weight: torch.from_numpy(value[replica]) for weight, value in kept.parameters.items()}
        )
        arm = study.arms[0]
        per_epoch = len(range(0, len(ordering(name).order(26, seed, 0, **arm.ordering_settings)), 8))
        order = ordering(name).order(26, seed, 12 // per_epoch, **arm.ordering_settings)
        total = 0.0
        for start in range(0, len(order), 8):
            rows = order[start : start + 8]
            total += torch.nn.functional.cross_entropy(
                module(inputs[rows]), targets[rows], reduction="sum"
            ).item()
        assert got[replica] == pytest.approx(total / len(order), abs=1e-12)


def test_gradient_and_update_are_those_of_the_last_step():
    study = toy(momentum=0.5, weight_decay=0.1)
    stack = stack_of(study, seeds(study, 0, 1))
    stack.advance(9)
    everyone = np.array([True, True])
    before = stack.weights(everyone).parameters
    snapshot = stack.advance(10).snapshot
    after = stack.weights(everyone).parameters
    for replica in (0, 1):
        moved = sum(((after[name][replica] - before[name][replica]) ** 2).sum() for name in after)
        assert snapshot.measure().columns["update_norm"][replica] == pytest.approx(np.sqrt(moved), rel=1e-12)
    inputs, targets = (torch.from_numpy(part) for part in TOYS["toy-classes"].load()[:2])
    rows = ordering("RR").order(26, 1, 2)[8:16]  # step 9 is the second of epoch 2
    module = build(study.model, study.shape, study.model_settings).double()
    module.load_state_dict({name: torch.from_numpy(value[1]) for name, value in before.items()})
    torch.nn.functional.cross_entropy(module(inputs[rows]), targets[rows]).backward()
    norm = torch.cat([value.grad.flatten() for value in module.parameters()]).norm().item()
    assert snapshot.measure().columns["gradient_norm"][1] == pytest.approx(norm, rel=1e-10)
