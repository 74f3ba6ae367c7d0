"""Pairs of perceptrons that differ in their seed alone: a barrier on the straight line between them."""

from collections.abc import Iterable, Mapping

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
        "On the straight line between two perceptrons trained on digits from different seeds the test loss "
        "rises by more than 0.1 nats above that of the ends; with batch normalization, its statistics taken "
        "anew at every point of the line, by less than half as much."
    ),
    source="Frankle et al. 2020; Entezari et al. 2022; anew: Jordan et al. 2022 (RESET)",
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
    expected_seconds=36,
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


def barriers(runs: Evidence, arm: str, pairs: Iterable[tuple[int, int]], split: Split) -> Values:
    """Return the barrier of each pair of seeds at the end of training, NaN of an unfinished one."""
    ids = {run.seed: run.id for run in runs.finished(arm)}
    found = []
    for pair in pairs:
        if not all(seed in ids for seed in pair):
            found.append(np.nan)
            continue
        one, other = (checkpoints.weights(runs.store, ids[seed])[1] for seed in pair)
        found.append(barrier(_double(one), _double(other), split))
    return np.array(found, dtype=np.float64)


def _double(weights: Weights) -> Weights:
    return {name: value.astype(np.float64) for name, value in weights.items()}


def verdict(runs: Evidence) -> Verdict:
    """Judge the barriers of pairs of seeds, from the weights kept at the end of training."""
    split = runs.study.load()
    pairs = list(zip(runs.seeds[::2], runs.seeds[1::2], strict=False))  # neighbours; no seed is in two
    plain, normalized = (barriers(runs, arm, pairs, split) for arm in ("no BN", "BN"))
    details = [
        compare("no BN, barrier between two seeds in nats", plain, 0.0, "above", LEAST, "difference"),
        compare("barrier, BN - half of that without", normalized, plain / 2, "below", 0.0, "difference"),
    ]
    return conclude(details, notes=runs.notes)
