"""How fast a risk grows with the logarithm of time."""

import numpy as np

from engine.studies._evidence import Evidence, Values


def slopes(runs: Evidence, metric: str, arm: str) -> Values:
    """Return each seed's least-squares slope of a metric against ln(step) over the last half of training.

    A risk that diverges as Ji & Telgarsky describe grows along a line in ln(step); one that settles has
    slope 0. NaN where a seed has no finished run, or one of fewer than three measurements there.
    """
    found = {}
    for curve in runs.curves(metric, arm):
        late = curve.steps >= curve.steps[-1] / 2
        if late.sum() >= 3:
            found[curve.seed] = np.polyfit(np.log(curve.steps[late]), curve.values[late], 1)[0]
    return np.array([found.get(seed, np.nan) for seed in runs.seeds], dtype=np.float64)
