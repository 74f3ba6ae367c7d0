"""Pairs of perceptrons that differ in their seed alone: a barrier on the straight line between them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

from data import checkpoints
from engine.datasets import Split
from engine.studies._evidence import Evidence, Values
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude

Weights = Mapping[str, Float[np.ndarray, "..."]]
LAMBDAS = np.linspace(0.0, 1.0, 25)
LEAST = 0.1
EPS = 1e-5

STUDY = Study(
    name="mlp-modes",
    title="Pairs of seeds and the barrier between them",
    claim=(
        "Halfway between the weights of two perceptrons that were trained on digits from different seeds the "
        "test loss rises by more than 0.1 nats above the straight line between their own, without batch "
        "normalization and with it (statistics of the rows that are evaluated)."
    ),
    source="Frankle et al. 2020; Entezari et al. 2022",
    dataset="digits",
    model="mlp",
    model_settings={"width": 256, "depth": 3},
    arms=(Arm("no BN", "RR"), Arm("BN", "RR", {"norm": "batch"})),
    seeds=16,
    epochs=40,
    batch_size=64,
    lr=0.1,
    momentum=0.9,
    evaluate_every=64,
)


def test_loss(weights: Weights, split: Split) -> float:
    """Return the mean cross-entropy in nats of the model ``mlp`` with ReLU on all test rows as one batch."""
    units = split.test_inputs.reshape(len(split.test_inputs), -1)
    layers = len({name.split(".")[1] for name in weights if name.startswith("hidden.")})
    for layer in (f"hidden.{number}" for number in range(layers)):
        units = units @ weights[f"{layer}.linear.weight"].T + weights.get(f"{layer}.linear.bias", 0.0)
        if f"{layer}.norm.weight" in weights:
            scaled = (units - units.mean(0)) / np.sqrt(units.var(0) + EPS)
            units = scaled * weights[f"{layer}.norm.weight"] + weights[f"{layer}.norm.bias"]
        units = np.maximum(units, 0.0)
    outputs = units @ weights["head.weight"].T + weights["head.bias"]
    return float(-log_softmax(outputs, 1)[np.arange(len(outputs)), split.test_targets].mean())


def barrier(a: Weights, b: Weights, split: Split) -> float:
    """Return the highest rise in nats of the test loss on the straight path above the chord of its ends.

    Source:
        Frankle et al. 2020, section 2.
    """
    losses = np.array(
        [test_loss({name: (1 - at) * a[name] + at * b[name] for name in a}, split) for at in LAMBDAS]
    )
    return float((losses - ((1 - LAMBDAS) * losses[0] + LAMBDAS * losses[-1])).max())


def _barriers(runs: Evidence, arm: str, split: Split) -> Values:
    """Return the barrier of each pair of neighbouring finished seeds; no seed is in two pairs."""
    ids = [run.id for run in runs.finished(arm)]
    found = []
    for one, other in zip(ids[::2], ids[1::2], strict=False):
        ends: list[dict[str, Any]] = [
            {
                name: value.astype(np.float64)
                for name, value in checkpoints.weights(runs.store, run)[1].items()
            }
            for run in (one, other)
        ]
        found.append(barrier(ends[0], ends[1], split))
    return np.array(found)


def verdict(runs: Evidence) -> Verdict:
    """Judge the barriers of pairs of seeds, from the weights kept at the end of training."""
    split = runs.study.load()
    details = [
        compare(
            f"{arm.name}, barrier in test loss between two seeds (nats)",
            _barriers(runs, arm.name, split), 0.0, "above", LEAST, "difference",
        )
        for arm in runs.study.arms
    ]  # fmt: skip
    return conclude(details, notes=runs.notes)
