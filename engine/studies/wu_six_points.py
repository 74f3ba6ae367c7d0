"""Six points on which most orders of Single Shuffle diverge.

By the linear program of Ji & Telgarsky 480 of the 720 orders do, 192 are separable without, 48 are bounded,
and Random Reshuffle cannot diverge. The scale of the normalization is not trained: together with the weights
it would turn the direction of the maximal margin, and with it the slope.
"""

import numpy as np

from engine.studies._evidence import Evidence
from engine.studies._growth import slopes
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude, share

RISK = "full_batch_risk"
GROWS = 0.005
"""Slope in nats per unit of ln(step) above which a run counts as diverging."""
EVERY = 300

STUDY = Study(
    name="wu-six-points",
    title="Six points that diverge in most orders",
    claim=(
        "Logistic regression on six batch-normalized points, two a batch: the full-batch risk of most orders "
        "of Single Shuffle grows with the logarithm of time without end, above that of Random Reshuffle, "
        "whose own does not grow."
    ),
    source="Wu, Yun & Sra 2023, section 5, construction with e = 0.01",
    dataset="six-points",
    model="linear-network",
    model_settings={"depth": 0, "normalize_inputs": True, "affine": "none", "bias": False, "eps": 0.0},
    arms=(Arm("SS", "SS"), Arm("RR", "RR")),
    seeds=48,
    epochs=10_000,
    batch_size=2,
    lr=1.0,
    dtype="float64",
    evaluate_every=EVERY,
    checkpoints=(0, *(EVERY * 2**k for k in range(7))),
    expected_seconds=43,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge who grows over the last half, and how high."""
    growth = {arm: slopes(runs, RISK, arm) for arm in ("SS", "RR")}
    level = {arm: runs.ends(RISK, arm) for arm in ("SS", "RR")}
    diverging = growth["SS"] > GROWS
    high = np.where(diverging, level["SS"], np.nan)
    known = growth["SS"][~np.isnan(growth["SS"])]
    details = [
        compare("growth of full-batch risk with ln(step), SS", growth["SS"], 0.0, "above", 0.0, "difference"),
        compare(
            "growth of full-batch risk with ln(step), RR", growth["RR"], 0.0, "not above", 0.05, "difference"
        ),
        compare("full-batch risk, diverging orders of SS / RR", high, level["RR"], "above"),
        share("share of SS orders that diverge", known > GROWS, 0.5),
    ]
    return conclude(details, notes=runs.notes)
