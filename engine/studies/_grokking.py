"""Whether test accuracy comes long after training accuracy."""

import numpy as np

from engine.studies._evidence import Evidence, Values
from engine.studies._verdict import Verdict, compare, conclude, share

PASSED = 0.95


def first_passed(runs: Evidence, metric: str, arm: str, threshold: float = PASSED) -> Values:
    """Return the first measured step at which each seed's metric reaches a threshold; NaN where none does.

    At least 1: a run that begins above the threshold has passed it with its first step.
    """
    found = {}
    for curve in runs.curves(metric, arm):
        above = np.flatnonzero(curve.values >= threshold)
        if above.size:
            found[curve.seed] = max(int(curve.steps[above[0]]), 1)
    return np.array([found.get(seed, np.nan) for seed in runs.seeds], dtype=np.float64)


def grokking(runs: Evidence) -> Verdict:
    """Judge the claim that most seeds generalize, at least twice as late as they fit, in each arm.

    Source:
        Power et al. 2022: both accuracies, here at 0.95.
    """
    details = []
    for arm in runs.study.arms:
        fitted = first_passed(runs, "train_accuracy", arm.name)
        general = first_passed(runs, "test_accuracy", arm.name)
        done = {run.seed for run in runs.finished(arm.name)}
        passed = [not np.isnan(step) for seed, step in zip(runs.seeds, general, strict=True) if seed in done]
        details += [
            compare(
                f"{arm.name}, steps until test / until training accuracy {PASSED}",
                general,
                fitted,
                "above",
                2.0,
            ),
            share(f"{arm.name}, share of seeds that generalize", passed, 0.5),
        ]
    return conclude(details, notes=runs.notes)
