"""A small transformer learns addition modulo a prime with and without layer normalization."""

from dataclasses import replace

import numpy as np

from engine.studies._evidence import Evidence, Values
from engine.studies._grokking import PASSED, first_passed
from engine.studies._study import Arm
from engine.studies._verdict import Verdict, compare, conclude, share
from engine.studies.modular_addition import STUDY as PLAIN

STUDY = replace(
    PLAIN,
    name="modular-addition-norms",
    title="Grokking with and without layer normalization",
    claim=(
        "Most seeds of a one-layer transformer generalize on modular addition with and without layer "
        "normalization, but without it the step at which they do varies more from seed to seed."
    ),
    source="Hu, Chen, Saphra & Cho 2023, ablation of layer normalization (there p = 113, 40 seeds)",
    arms=(Arm("none", "RR"), Arm("LN", "RR", {"norm": "layer"})),
    seeds=40,
    expected_seconds=620,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge the spread of the logarithm of convergence times about their arm's median.

    Source:
        Brown & Forsythe 1974, deviations from the median.
    """
    passed = {arm.name: first_passed(runs, "test_accuracy", arm.name) for arm in runs.study.arms}
    details = [
        compare(
            "deviation of ln(steps) from its median, none - LN",
            _deviations(passed["none"]),
            _deviations(passed["LN"]),
            "above",
            0.0,
            "difference",
        )
    ]
    for arm, steps in passed.items():
        done = {run.seed for run in runs.finished(arm)}
        general = [not np.isnan(step) for seed, step in zip(runs.seeds, steps, strict=True) if seed in done]
        details.append(share(f"{arm}, share of seeds that reach test accuracy {PASSED}", general, 0.5))
    return conclude(details, notes=runs.notes)


def _deviations(steps: Values) -> Values:
    """Return |ln t - median ln t| of each seed; NaN where it did not converge."""
    logs = np.log(steps)
    middle = float(np.nanmedian(logs)) if np.isfinite(logs).any() else np.nan
    return np.asarray(np.abs(logs - middle), dtype=np.float64)
