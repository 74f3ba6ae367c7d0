"""Forty perceptrons on MNIST, for latent states of training."""

import numpy as np

from engine.studies._evidence import Evidence
from engine.studies._grokking import first_passed
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, conclude, share

PASSED = 0.9
FACTOR = 1.5
SHARE = 0.8
"""What 40 seeds can show to be exceeded although a few of them take longer."""

STUDY = Study(
    name="mnist-latent",
    title="Forty seeds of a perceptron on MNIST",
    claim=(
        "Training on MNIST takes no detours: more than four of five seeds reach 90 % test accuracy within a "
        "factor of 1.5 of the median seed's steps."
    ),
    source="Hu, Chen, Saphra & Cho 2023, MNIST: 40 seeds, perceptron, AdamW",
    dataset="mnist-5k",
    model="mlp",
    model_settings={"width": 128, "depth": 2},
    arms=(Arm("AdamW", "RR"),),
    seeds=40,
    epochs=10,
    batch_size=64,
    optimizer="adamw",
    lr=1e-3,
    weight_decay=0.01,
    evaluate_every=14,
    expected_seconds=111,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge the spread of convergence times; a seed that does not converge is not within the factor."""
    details = []
    for arm in runs.study.arms:
        done = {run.seed for run in runs.finished(arm.name)}
        steps = first_passed(runs, "test_accuracy", arm.name, PASSED)
        steps = steps[[seed in done for seed in runs.seeds]]
        typical = np.nanmedian(steps) if np.isfinite(steps).any() else np.nan
        near = np.abs(np.log(steps / typical)) <= np.log(FACTOR)
        details.append(share(f"{arm.name}, share of seeds that converge near the median", near, SHARE))
    return conclude(details, notes=runs.notes)
