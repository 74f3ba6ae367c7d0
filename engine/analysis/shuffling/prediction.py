"""What the order of the data does to the full-batch risk, from its separability alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Real
from scipy.optimize import brentq

from engine.analysis.shuffling.separation import Separability

Kind = Literal["bounded", "no divergence", "GD risk diverges"]
SETTLED = 0.3
"""Bound on the loss of the separable part, in nats, below which the asymptotic slope is expected to hold.

Measured on 30 orders of 32 Gaussian examples at four times each: where the bound is below, the slope is
within 5 % of the predicted in the median and within 13 % in nine of ten; up to 0.5, only within 73 %.
"""


@dataclass(frozen=True)
class Verdict:
    """Whether the full-batch risk of an order grows for ever.

    Attributes:
        kind: "bounded" where nothing is separable under the order, so that the iterates stay finite; "GD risk
            diverges" where something is and its direction puts a full-batch example on the wrong side; "no
            divergence" where it puts none there.
        slope: of the full-batch risk against ln(time), in nats; 0 unless it diverges.
        misclassified: whether a full-batch example is on the wrong side of that direction.
        least: the least signed product of a full-batch example with that direction, over the margin: how its
            own log odds grow with ln(time). 0 where nothing is separable.
        settles_after: time, step size x steps, from which the slope can be expected; inf where the margin is
            within rounding, 0 where nothing is separable.
        caution: why the prediction may fail; empty where nothing speaks against it.
    """

    kind: Kind
    slope: float
    misclassified: Bool[np.ndarray, " examples"]
    least: float
    settles_after: float
    caution: str


def verdict(
    separability: Separability,
    gd_features: Float[np.ndarray, "examples features"],
    labels: Real[np.ndarray, " examples"],
    time: float | None = None,
) -> Verdict:
    """Say what becomes of the full-batch risk under gradient descent with an order's batches.

    The separable part drives M along its direction u as u ln(t) / margin. An example that the full batch
    puts at z_i . u < 0 then adds |z_i . u| / margin nats per ln(t) to the sum of losses.

    Args:
        separability: of the data of the order.
        gd_features: of the same examples normalized as one batch, in any order.
        labels: theirs, +1 or -1.
        time: step size x steps trained, to say whether that is long enough; None where nothing is trained.

    Source:
        Wu, Yun & Sra 2023, theorem 5; the slope is derived in SCIENCE.md, section 3.
    """
    n = len(gd_features)
    if separability.direction is None:
        return Verdict("bounded", 0.0, np.zeros(n, dtype=bool), 0.0, 0.0, separability.caution)
    products = labels * (gd_features @ separability.direction + separability.offset)
    # Rounding of the direction must not decide about examples that lie on its boundary.
    longest = np.linalg.norm(gd_features, axis=1).max() + separability.intercept
    wrong = products < -1e-9 * longest
    if separability.margin <= 0:
        return Verdict(
            "GD risk diverges" if wrong.any() else "no divergence",
            float("inf") if wrong.any() else 0.0, wrong, 0.0, float("inf"), separability.caution,
        )  # fmt: skip
    slope = float(np.abs(products[wrong]).sum() / (n * separability.margin))
    settles = settling_time(separability.margin)
    caution = separability.caution
    if not caution and time is not None and time < settles:
        caution = (
            f"With a margin of {separability.margin:.2g} the predicted slope can be relied on after a time "
            f"(step size x steps) of about {settles:.2g}; trained were {time:.2g}."
        )
    return Verdict(
        "GD risk diverges" if wrong.any() else "no divergence",
        slope,
        wrong,
        float(products.min() / separability.margin),
        float("inf") if separability.caution else settles,
        caution,
    )


def settling_time(margin: float) -> float:
    """Return the time t from which 1/t + ln(t)^2 / (2 margin^2 t), a bound on the loss, stays below 0.3.

    Source:
        Ji & Telgarsky 2019, theorem 1.1 (the bound on the risk of the separable part).
    """

    def above(log_t: float) -> float:
        return float(np.log1p(log_t**2 / (2 * margin**2)) - log_t - np.log(SETTLED))

    # ln(t)^2 / t falls beyond ln(t) = 2.
    start = 2.0
    return float(np.exp(brentq(above, start, 2000.0))) if above(start) > 0 else float(np.exp(start))
