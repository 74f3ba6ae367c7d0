"""How fast each ordering brings SGD to the minimum of a least-squares problem.

With a fraction whose inverse is whole, RS2 would be Random Reshuffle. Here a round is 31 of the 64 examples
and one permutation lasts 3 rounds, 93 visits: the tail is joined to the head, so that 29 random examples
come twice before all are shuffled anew. All orderings get the same n K visits; for RS2 these are more than
2 K rounds, the last cut short, and its tail average is over the starts of the rounds. The error depends on
where in a permutation a training stops: 1,023 visits are 11 permutations, so that those for K = 16, 32, 64
and 128 stop 1, 2, 4 and 8 visits into one.
"""

import math
from typing import Any

import numpy as np

from engine.studies._evidence import Evidence, Values
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude, fixed

EXAMPLES, FEATURES = 64, 3
EPOCHS = (16, 32, 64, 128)
ORDERINGS = {
    "WR": "WR",
    "IGM": "IGM",
    "SS": "SS",
    "RR": "RR",
    "FlipFlop-RR": "FlipFlop",
    "GraB": "GraB",
    "RS2": "RS2",
}
SETTINGS = {"RS2": {"fraction": 0.48}}
CURVATURE = 2.0
"""mu: the Hessian of the risk is twice the second moments, which `condition` makes the identity."""
STEPS = 4.0
"""c of eta = c ln(nK) / (mu n K): the start is forgotten like (nK)^-2c, faster than any rate seen here."""


def _training(epochs: int) -> dict[str, Any]:
    visits = EXAMPLES * epochs
    return {
        "epochs": epochs,
        "lr": STEPS * math.log(visits) / (CURVATURE * visits),
        "evaluate_every": visits,
        "cadence": {"excess_risk": visits, "tail_excess_risk": visits},
    }


STUDY = Study(
    name="orderings-quadratic",
    title="Rates of data orders on least squares",
    claim=(
        "On a strongly convex quadratic of 64 examples the error after K epochs with step size about "
        "ln(nK) / (mu n K) falls as a power of K / ln(nK): -1 with replacement, -2 for one order "
        "(incremental, Single Shuffle), -2.5 or steeper for Random Reshuffle, and for its FlipFlop steeper "
        "by another 0.5 or more."
    ),
    source=(
        "Safran & Shamir 2021 (SS, RR); Rajput, Lee & Papailiopoulos 2022 (FlipFlop); Lu, Guo & De Sa 2022 "
        "(GraB); Okanovic et al. 2023 (RS2); their comparison in one setting is this lab's own"
    ),
    dataset="gaussian-regression",
    dataset_settings={"rows": EXAMPLES, "features": FEATURES, "noise": 1.0, "condition": 1.0},
    model="linear-network",
    model_settings={"depth": 0, "bias": False},
    arms=tuple(
        Arm(f"{name} K={epochs}", ordering, {}, SETTINGS.get(name, {}), _training(epochs))
        for name, ordering in ORDERINGS.items()
        for epochs in EPOCHS
    ),
    seeds=64,
    epochs=max(EPOCHS),
    batch_size=1,
    dtype="float64",
    evaluate_every=EXAMPLES,
    cadence={"excess_risk": EXAMPLES, "tail_excess_risk": EXAMPLES},
    expected_seconds=80,
)


def slopes(runs: Evidence, name: str) -> Values:
    """Return each seed's slope of the log of F - F* after K epochs against ln(K / ln(nK)).

    Their mean over seeds is the slope of the mean log error.
    """
    errors = np.log([runs.ends("excess_risk", f"{name} K={epochs}", 1e-9) for epochs in EPOCHS])
    budgets = np.array(EPOCHS)
    x = np.log(budgets / np.log(EXAMPLES * budgets))
    x -= x.mean()
    found: Values = x @ errors / (x @ x)
    return found


def verdict(runs: Evidence) -> Verdict:
    """Judge the slopes of all orderings, each estimated from its own trainings for every K."""
    slope = {name: slopes(runs, name) for name in ORDERINGS}

    details = [
        compare(
            "slope of FlipFlop-RR - slope of RR",
            slope["FlipFlop-RR"], slope["RR"], "below", 0.5, "difference",
        ),
        compare("slope of RR", slope["RR"], -2.0, "below", 0.5, "difference"),
        *(
            compare(f"slope of {name}", slope[name], theory, "same", margin, "difference")
            for name, theory, margin in (("SS", -2.0, 0.25), ("WR", -1.0, 0.5))
        ),
        # The order is the data set's and the start is forgotten: 64 seeds are 64 copies of one training.
        igm := fixed("slope of IGM", slope["IGM"], -2.0, 0.25),
    ]  # fmt: skip
    beside = [
        compare(f"slope of {name}", slope[name], 0.0, "below", 0.0, "difference").told
        for name in ("FlipFlop-RR", "GraB", "RS2")
    ]
    return conclude(details, notes=[f"{'; '.join(beside)}.", igm.note, *runs.notes])
