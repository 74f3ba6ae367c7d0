"""Two classes as a read-out sees them, under an order's batches and under the full batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num, Real

from engine.analysis.shuffling.plane import hull, plane
from engine.analysis.shuffling.prediction import Verdict, verdict
from engine.analysis.shuffling.separation import Separability, separability

MOST_DRAWN = 1200
"""Rows of one panel of a picture, beside the corners of its hulls: a browser draws ten thousand well."""


class Seen(NamedTuple):
    """Examples as the batches of some data show them; an example may have several rows.

    Attributes:
        features: one row for every example of every batch.
        targets: of these rows.
        examples: which example a row is.
    """

    features: Float[np.ndarray, "rows features"]
    targets: Num[np.ndarray, rows * target]
    examples: Int[np.ndarray, " rows"]


class Drawn(NamedTuple):
    """Rows in the plane of a decision.

    Attributes:
        at: signed distance to the decision, positive on the side of +1, and the main direction beside it.
        label: +1 or -1.
        example: which example a row is.
        wrong: whether the row lies on the other side.
        rows: how many there are, of which only some are drawn.
    """

    at: Float[np.ndarray, "drawn 2"]
    label: Int[np.ndarray, " drawn"]
    example: Int[np.ndarray, " drawn"]
    wrong: Bool[np.ndarray, " drawn"]
    rows: int


class Picture(NamedTuple):
    """The same plane under an order's batches and under the full batch.

    Attributes:
        own: one epoch of the run's own batches.
        full: the full batch.
        shown: share of the features' variance that lies in the plane.
    """

    own: Drawn
    full: Drawn
    shown: float


class Contrast(NamedTuple):
    """Two classes, +1 and -1, and what of a read-out tells them apart.

    Attributes:
        own: under the run's own batches; of an order that changes every epoch, under subsets of all.
        full: under the full batch.
        direction: of the read-out.
        offset: what it adds.
        intercept: whether an offset is trained.
        scale_trained: whether a scale is trained beside the read-out, see ``separability``.
    """

    own: Seen
    full: Seen
    direction: Float[np.ndarray, " features"]
    offset: float
    intercept: bool
    scale_trained: bool

    def split(self) -> Separability:
        """Return what of the own batches can be separated for ever."""
        return separability(self.own.features, self.own.targets, self.intercept, self.scale_trained)

    def told(self, split: Separability, time: float | None = None) -> Verdict:
        """Return what a split means for the full batch; see ``verdict`` for the time."""
        return verdict(split, self.full.features, self.full.targets, time)

    def alignment(self, split: Separability) -> float:
        """Return the cosine of the read-out and the direction that a split predicts; NaN without either."""
        if split.direction is None:
            return float("nan")
        ours, theirs = self.direction, split.direction
        if self.intercept:
            ours, theirs = np.append(ours, self.offset), np.append(theirs, split.offset)
        lengths = float(np.linalg.norm(ours) * np.linalg.norm(theirs))
        return float(ours @ theirs) / lengths if lengths else float("nan")

    def picture(self, epoch: int, seed: int = 0) -> Picture:
        """Return both data in the plane in which the read-out decides.

        Args:
            epoch: rows of the own batches that make one epoch, which are drawn.
            seed: of the choice of rows where they are more than can be drawn.

        Raises:
            ValueError: the direction is 0, which decides nothing.
        """
        own = Seen(*(part[:epoch] for part in self.own))
        place = plane(self.direction, np.concatenate([own.features, self.full.features]), self.offset)
        drawn = [_drawn(place.of(one.features), one, seed) for one in (own, self.full)]
        return Picture(drawn[0], drawn[1], place.shown)


def _drawn(at: Float[np.ndarray, "rows 2"], seen: Seen, seed: int) -> Drawn:
    labels = np.asarray(seen.targets).astype(int)
    wrong = at[:, 0] * labels < 0
    rows = np.arange(len(at))
    if len(at) > MOST_DRAWN:
        corners = [of[hull(at[of])] for of in (np.flatnonzero(labels == one) for one in (-1, 1)) if len(of)]
        some = np.random.default_rng(seed).choice(len(at), MOST_DRAWN, replace=False)
        rows = np.unique(np.concatenate([some, *corners]))
    return Drawn(at[rows], labels[rows], seen.examples[rows], wrong[rows], len(at))


def signs(
    targets: Real[np.ndarray, " rows"], first: int, second: int
) -> tuple[Bool[np.ndarray, " rows"], Int[np.ndarray, " chosen"]]:
    """Return which rows are of the two classes, and +1 for the first and -1 for the second of those rows."""
    chosen = (targets == first) | (targets == second)
    return chosen, np.where(targets[chosen] == first, 1, -1)
