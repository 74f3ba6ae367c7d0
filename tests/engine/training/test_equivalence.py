"""Stacked training against each seed trained alone with plain torch modules and optimizers."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.datasets import dataset
from engine.studies import Arm, study
from engine.training.loop import Replica, replicas_of, train
from engine.training.orderings import ordering

STEPS = 50
CPU = torch.device("cpu")


def tiny(**changes):
    demo = study("digits-shuffling")
    settings = {"epochs": 2, "momentum": 0.9, "weight_decay": 1e-3, "lr": 0.05, "dtype": "float64"} | changes
    return dataclasses.replace(demo, **settings)


def plain_model(norm):
    layers = []
    for _ in range(3):
        layers.append(nn.Linear(64, 64, bias=False))
        if norm == "batch":
            layers.append(nn.BatchNorm1d(64, track_running_stats=False))
    return nn.Sequential(*layers, nn.Linear(64, 10))


def alone(wanted, arm, seed, steps):
    """Train one seed as anybody would: a module, torch's SGD, one batch after another."""
    split = dataset("digits").load()
    inputs, labels = torch.from_numpy(split.train_inputs), torch.from_numpy(split.train_labels)
    torch.manual_seed(seed)
    model = plain_model(arm.model.get("norm", "batch")).double()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=wanted.lr, momentum=wanted.momentum, weight_decay=wanted.weight_decay
    )
    losses, batches = [], -(-len(inputs) // wanted.batch_size)
    for step in range(steps):
        epoch, batch = divmod(step, batches)
        order = ordering(arm.ordering).order(len(inputs), seed, epoch)
        rows = order[batch * wanted.batch_size : (batch + 1) * wanted.batch_size]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with torch.no_grad():
        full = functional.cross_entropy(model(inputs), labels).item()
    return losses, full


def stacked(wanted, replicas, steps):
    """Return each replica's batch losses and full-batch risk after `steps` steps."""
    losses = {replica: {} for replica in replicas}
    full = {}
    for stretch in train(wanted, replicas, CPU):
        for rows in stretch.rows:
            for at, which in enumerate(rows.replicas):
                if "batch_loss" in rows.columns:
                    losses[replicas[which]][int(rows.steps[at])] = rows.columns["batch_loss"][at]
                if "full_batch_risk" in rows.columns and rows.steps[at] == steps:
                    full[replicas[which]] = rows.columns["full_batch_risk"][at]
    return losses, full


@pytest.mark.parametrize("batch_size", [32, 48])  # 48 leaves a smaller last batch of 16
def test_traces_equal_those_of_each_seed_alone(batch_size):
    wanted = tiny(batch_size=batch_size, epochs=3, evaluate_every=25)
    replicas = replicas_of(wanted, [], [0, 1, 7])
    losses, full = stacked(wanted, replicas, STEPS)
    for replica in replicas:
        expected, expected_full = alone(wanted, wanted.arm(replica.arm), replica.seed, STEPS)
        got = [losses[replica][step] for step in range(1, STEPS + 1)]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)
        assert full[replica] == pytest.approx(expected_full, abs=1e-10)


@pytest.mark.parametrize("name", ["SS", "RR", "IGM", "WR", "FlipFlop", "RS2"])
def test_every_ordering_trains_as_alone(name):
    arm = Arm("it", name, {}, {"fraction": 0.25} if name == "RS2" else {})
    wanted = dataclasses.replace(tiny(evaluate_every=32), arms=(arm,), comparisons=())
    losses, _ = stacked(wanted, [Replica("it", 3)], 64)
    split = dataset("digits").load()
    inputs, labels = torch.from_numpy(split.train_inputs), torch.from_numpy(split.train_labels)
    torch.manual_seed(3)
    model = plain_model("batch").double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    visited, epoch = [], 0
    while len(visited) < 64 * 32:
        visited.extend(ordering(name).order(1024, 3, epoch, **arm.ordering_settings))
        epoch += 1
    for step in range(64):
        rows = visited[step * 32 : (step + 1) * 32]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs[rows]), labels[rows])
        loss.backward()
        optimizer.step()
        assert losses[Replica("it", 3)][step + 1] == pytest.approx(loss.item(), abs=1e-10)


def test_a_seed_does_not_depend_on_its_company():
    wanted = tiny(epochs=1, evaluate_every=16)
    many = replicas_of(wanted, [], range(6))
    together, _ = stacked(wanted, many, 32)
    apart, _ = stacked(wanted, [Replica("RR", 4)], 32)
    mine = Replica("RR", 4)
    np.testing.assert_allclose(
        list(apart[mine].values()), [together[mine][step] for step in apart[mine]], rtol=0, atol=1e-12
    )


def test_paired_arms_share_their_first_epoch():
    wanted = tiny(epochs=2, evaluate_every=32)
    replicas = replicas_of(wanted, ["SS", "RR"], [0, 1])
    losses, _ = stacked(wanted, replicas, 64)
    for seed in (0, 1):
        ss, rr = losses[Replica("SS", seed)], losses[Replica("RR", seed)]
        assert all(ss[step] == pytest.approx(rr[step], abs=1e-12) for step in range(1, 33))
        assert any(abs(ss[step] - rr[step]) > 1e-3 for step in range(33, 65))
