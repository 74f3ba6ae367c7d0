"""How far the loss rises, and the accuracy falls, between two networks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from engine.connectivity.path import Path


class Barriers(NamedTuple):
    """Two definitions are in use, and they differ wherever the ends do.

    A monotone path has a chord barrier of 0 and a mean barrier above 0.

    Attributes:
        loss_chord: max over lambda of L(lambda) - ((1 - lambda) L(0) + lambda L(1)), in units of the loss.
        loss_mean: max over lambda of L(lambda) - (L(0) + L(1)) / 2.
        accuracy_chord: max over lambda of ((1 - lambda) A(0) + lambda A(1)) - A(lambda), a share of examples;
            None where the task has no accuracy.
        accuracy_mean: max over lambda of (A(0) + A(1)) / 2 - A(lambda); None likewise.
        at: the lambda of `loss_chord`, the first of several.
    """

    loss_chord: float
    loss_mean: float
    accuracy_chord: float | None
    accuracy_mean: float | None
    at: float


def barriers(path: Path) -> Barriers:
    """Return the barriers of a path; both are at least 0 up to rounding, for the chord includes its ends.

    A network that overflows is a barrier, not a gap: where a loss is inf or NaN, both barriers of the loss
    are inf, at the first such lambda. Those of the accuracy stay finite: outputs that are not finite are
    wrong.

    Raises:
        ValueError: the path does not begin at 0 and end at 1.

    Source:
        Chord: Entezari et al. 2022, equation 1. Mean: Frankle et al. 2020, section 2.
    """
    lambdas = path.lambdas
    if lambdas[0] != 0 or lambdas[-1] != 1:
        raise ValueError(f"`path` must go from lambda 0 to 1; got {lambdas[0]:g} to {lambdas[-1]:g}.")
    accuracy_chord = accuracy_mean = None
    if path.accuracy is not None:
        accuracy_chord, accuracy_mean, _ = _rise(lambdas, -path.accuracy)
    wrong = np.flatnonzero(~np.isfinite(path.loss))
    if len(wrong):
        return Barriers(np.inf, np.inf, accuracy_chord, accuracy_mean, float(lambdas[wrong[0]]))
    chord, mean, at = _rise(lambdas, path.loss)
    return Barriers(chord, mean, accuracy_chord, accuracy_mean, at)


def _rise(
    lambdas: Float[np.ndarray, " lambdas"], values: Float[np.ndarray, " lambdas"]
) -> tuple[float, float, float]:
    """Return the highest rise above the chord, above the mean of the ends, and where the first is."""
    above = values - ((1 - lambdas) * values[0] + lambdas * values[-1])
    highest = int(above.argmax())
    return float(above[highest]), float(values.max() - (values[0] + values[-1]) / 2), float(lambdas[highest])
