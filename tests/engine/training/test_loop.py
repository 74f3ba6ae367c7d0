import dataclasses
from collections import Counter

import numpy as np
import pytest
import torch

from data.errors import LabError
from engine.datasets import dataset
from engine.studies import Arm, study
from engine.training.loop import choose_device, replicas_of, train
from engine.training.stack import DeviceData, Stack

CPU = torch.device("cpu")


def tiny(**changes):
    return dataclasses.replace(study("digits-shuffling"), **({"epochs": 2, "dtype": "float64"} | changes))


def collect(wanted, replicas):
    seen, done, diverged = {}, [], []
    for stretch in train(wanted, replicas, CPU):
        done.append(stretch.steps_done)
        diverged += stretch.diverged
        for rows in stretch.rows:
            for at, which in enumerate(rows.replicas):
                key = (int(which), int(rows.steps[at]))
                assert key not in seen, f"row {key} came twice"
                seen[key] = {name: float(values[at]) for name, values in rows.columns.items()} | {
                    "epoch": rows.epochs[at]
                }
    return seen, done, diverged


def test_every_run_has_one_row_a_step_and_metrics_at_the_cadence():
    wanted = tiny(evaluate_every=24)
    replicas = replicas_of(wanted, [], [0, 3])
    seen, done, _ = collect(wanted, replicas)
    assert sorted(seen) == [(index, step) for index in range(8) for step in range(wanted.steps + 1)]
    assert done[-1] == wanted.steps * len(replicas)
    assert done == sorted(done)
    for (_, step), columns in seen.items():
        assert ("batch_loss" in columns) == (step > 0)
        evaluated = step % 24 == 0 or step == wanted.steps
        assert ("full_batch_risk" in columns) == evaluated
        assert ("gradient_norm" in columns) == (evaluated and step > 0)
        assert columns["epoch"] == pytest.approx(step / 32)


def test_own_batch_risk_is_the_mean_over_the_batches_about_to_be_seen():
    wanted = tiny(batch_size=48, evaluate_every=22)  # 1024 = 21 x 48 + 16: an epoch is 22 steps
    replicas = replicas_of(wanted, ["RR"], [2])
    data = DeviceData.of(dataset("digits").load(), CPU, torch.float64)
    stack = Stack(wanted, {0: replicas[0]}, data)
    _, _, snapshot = stack.advance(22)
    got = snapshot.measure().columns["own_batch_risk"][0]
    from engine.training.orderings import ordering

    order = ordering("RR").order(1024, 2, 1)
    weights = {name: value[0] for name, value in stack._ensemble.parameters.items()}

    def logits(inputs):
        for layer in range(3):
            inputs = inputs @ weights[f"layers.{2 * layer}.weight"].T
            inputs = (inputs - inputs.mean(0)) / (inputs.var(0, correction=0) + 1e-5).sqrt()
            inputs = (
                inputs * weights[f"layers.{2 * layer + 1}.weight"] + weights[f"layers.{2 * layer + 1}.bias"]
            )
        return inputs @ weights["layers.6.weight"].T + weights["layers.6.bias"]

    total = 0.0
    for start in range(0, 1024, 48):
        rows_ = order[start : start + 48]
        logp = torch.log_softmax(logits(data.train[0][rows_]), 1)
        total -= logp[torch.arange(len(rows_)), data.train[1][rows_]].sum().item()
    assert got == pytest.approx(total / 1024, abs=1e-12)


def poisoned(wanted, replicas, victim):
    """Train two stretches with one replica's weights made NaN before the second."""
    stack = Stack(
        wanted, dict(enumerate(replicas)), DeviceData.of(dataset("digits").load(), CPU, torch.float64)
    )
    stack.advance(16)
    if victim is not None:
        for value in stack._ensemble.parameters.values():
            value[victim] = torch.nan
    losses, diverged, snapshot = stack.advance(32)
    return [losses, snapshot.measure()], diverged, stack


def test_a_diverged_seed_is_frozen_recorded_and_touches_no_neighbour():
    wanted = tiny(evaluate_every=16, momentum=0.9)
    replicas = replicas_of(wanted, ["SS", "RR"], [0, 1, 2])
    clean, none, _ = poisoned(wanted, replicas, None)
    rows, diverged, stack = poisoned(wanted, replicas, 1)
    assert none == []
    assert [(lost.replica, lost.step, lost.what) for lost in diverged] == [(1, 17, "batch_loss is nan")]
    assert list(stack.indices) == [0, 2, 3, 4, 5]
    per_replica = Counter(int(which) for part in rows for which in part.replicas)
    assert per_replica == {0: 16, 1: 1, 2: 16, 3: 16, 4: 16, 5: 16}
    survivors = [0, 2, 3, 4, 5]
    for name, values in rows[-1].columns.items():
        np.testing.assert_allclose(values, clean[-1].columns[name][survivors], rtol=0, atol=1e-12)


def test_a_divergence_found_late_is_reported_at_its_step():
    """On a GPU the losses are looked at once a stretch; the rows are the same."""
    wanted = tiny(evaluate_every=16, lr=1e6, epochs=1)
    replicas = replicas_of(wanted, ["RR no BN"], [0, 1])
    data = DeviceData.of(dataset("digits").load(), CPU, torch.float64)
    results = []
    for look_every in (1, 16):
        stack = Stack(wanted, dict(enumerate(replicas)), data)
        stack._look_every = look_every
        losses, diverged, snapshot = stack.advance(16)
        assert snapshot is None
        cells = {
            (int(which), int(step)): loss
            for which, step, loss in zip(
                losses.replicas, losses.steps, losses.columns["batch_loss"], strict=True
            )
        }
        results.append((sorted(diverged), cells))
    assert len(results[0][0]) == 2
    assert results[0][0] == results[1][0]
    assert results[0][1].keys() == results[1][1].keys()
    for key, loss in results[0][1].items():
        np.testing.assert_equal(loss, results[1][1][key])


def test_training_goes_on_when_every_seed_of_a_stack_diverged():
    wanted = tiny(lr=1e6, evaluate_every=16)
    replicas = replicas_of(wanted, ["SS", "SS no BN"], [0, 1])
    seen, done, diverged = collect(wanted, replicas)
    assert {lost.replica for lost in diverged} >= {2, 3}
    assert done[-1] == wanted.steps * len(replicas)
    last = {lost.replica: lost.step for lost in diverged}
    for index, step in last.items():
        assert max(at for which, at in seen if which == index) == step
        assert not np.isfinite(seen[index, step]["batch_loss"])


def test_arms_of_one_architecture_share_a_stack_whatever_their_ordering():
    wanted = dataclasses.replace(
        tiny(epochs=1), arms=(Arm("a", "SS"), Arm("b", "WR"), Arm("c", "RS2")), comparisons=()
    )
    seen, _, _ = collect(wanted, replicas_of(wanted, [], [0]))
    assert len(seen) == 3 * (wanted.steps + 1)


def test_devices():
    assert choose_device("cpu") == CPU
    with pytest.raises(LabError, match="tpu"):
        choose_device("tpu")
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(LabError, match="no CUDA device"):
            choose_device("cuda")
