"""From raw metrics of runs to the standardized rows that a model of states is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Real

Normalize = Literal["per-run", "pooled", "log-pooled", "none"]
Runs = Sequence[Real[np.ndarray, "_ metrics"]]

DIVERGED = 1e12
"""A metric at or beyond this size marks the run as diverged, as NaN and Inf do."""
MIN_ROWS = 5
"""A run with fewer usable rows has no spread worth standardizing by: it is left out."""
CONSTANT = 1e-6
"""Spread, relative to the mean size, under which a metric is constant: float32 rounding alone is 6e-8."""
DUPLICATE = 0.999
"""|Pearson r| above which the later of two metrics is dropped."""
MOST_ROWS = 1000
"""Rows of the longest run beyond which every run is thinned, unless the caller says how."""


class Cut(NamedTuple):
    """Where a run was cut.

    Attributes:
        run: position in the given runs.
        row: first row that is not used.
        metric: a metric that is not finite, or at least 1e12 in size, there.
        value: its value.
    """

    run: int
    row: int
    metric: str
    value: float


class Dropped(NamedTuple):
    """A metric that was left out, and the reason."""

    metric: str
    why: str


@dataclass(frozen=True)
class Scaling:
    """How raw metrics become the model's units; learnt on training runs, applied to any.

    Attributes:
        requested: names of the columns of every run, in order.
        names: those kept, in order: the columns of the model.
        dropped: those not kept, and why.
        normalize: "per-run" (each run by its own mean and standard deviation over its whole length, future
            included), "pooled" or "log-pooled" (by those of all training rows together), or "none" (as they
            come; of an imported fit).
        logged: kept metrics whose natural logarithm is taken first; empty unless "log-pooled".
        centre: mean that is subtracted, per kept metric; None for "per-run".
        scale: standard deviation that is divided by, per kept metric; None for "per-run".
        every: rows 0, n, 2n, ... of each run are used and no others.
    """

    requested: tuple[str, ...]
    names: tuple[str, ...]
    dropped: tuple[Dropped, ...]
    normalize: Normalize
    logged: tuple[str, ...]
    centre: Float[np.ndarray, " features"] | None
    scale: Float[np.ndarray, " features"] | None
    every: int = 1

    def rows_of(self, runs: Runs) -> list[Float[np.ndarray, "_ features"]]:
        """Return raw runs, with `requested` as their columns, cut, thinned and in the model's units.

        Raises:
            ValueError: wrong columns, or a metric that is to be logged is not positive.
        """
        kept, _ = cut(runs, self.requested)
        return [self.apply(run[:: self.every]) for run in kept]

    def apply(self, run: Float[np.ndarray, "steps metrics"]) -> Float[np.ndarray, "steps features"]:
        """Return the kept metrics of one cut and thinned run in the model's units.

        Raises:
            ValueError: a metric that is to be logged is not positive.
        """
        columns = [self.requested.index(name) for name in self.names]
        values = run[:, columns]
        for name in self.logged:
            column = self.names.index(name)
            if len(values) and values[:, column].min() <= 0:
                raise ValueError(
                    f"`{name}` was fitted on a log scale and must be positive; "
                    f"got {values[:, column].min():.6g}. Fit again with this run, or normalize otherwise."
                )
            values[:, column] = np.log(values[:, column])
        if self.centre is not None and self.scale is not None:
            scores: Float[np.ndarray, "steps features"] = (values - self.centre) / self.scale
            return scores
        return standardize(values)


def standardize(values: Float[np.ndarray, "steps features"]) -> Float[np.ndarray, "steps features"]:
    """Return z-scores over the rows of one run; 0 for a metric that is constant in it."""
    if len(values) == 0:
        return values
    centre, scale = values.mean(axis=0), values.std(axis=0)
    flat = is_constant(values)
    scores: Float[np.ndarray, "steps features"] = np.where(
        flat, 0.0, (values - centre) / np.where(flat, 1.0, scale)
    )
    return scores


def is_constant(values: Float[np.ndarray, "rows features"]) -> Bool[np.ndarray, " features"]:
    """Return which columns do not move: standard deviation at most 1e-6 of the root mean square."""
    flat: Bool[np.ndarray, " features"] = values.std(axis=0) <= CONSTANT * np.sqrt((values**2).mean(axis=0))
    return flat


def cut(runs: Runs, metrics: Sequence[str]) -> tuple[list[Float[np.ndarray, "_ metrics"]], tuple[Cut, ...]]:
    """Return each run up to its first row that is not finite or at least 1e12 in size, and where that was.

    Nothing is filled and nothing after the cut is used: a run that came back from Inf is a different run.

    Raises:
        ValueError: there are no runs or metrics, names repeat, or a run has another number of columns.
    """
    if not metrics:
        raise ValueError("`metrics` must name at least one column; got none.")
    if len(set(metrics)) != len(metrics):
        repeated = sorted({name for name in metrics if list(metrics).count(name) > 1})
        raise ValueError(f"`metrics` must be distinct; got {', '.join(repeated)} more than once.")
    if not runs:
        raise ValueError("`runs` must hold at least one run; got none.")
    kept, cuts = [], []
    for index, run in enumerate(runs):
        if run.ndim != 2 or run.shape[1] != len(metrics):
            raise ValueError(
                f"`runs[{index}]` must have one column for each of the {len(metrics)} metrics; "
                f"got shape {run.shape}."
            )
        values = np.array(run, dtype=float)
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(values) < DIVERGED)
        rows = np.flatnonzero(bad.any(axis=1))
        if len(rows):
            row = int(rows[0])
            column = int(np.flatnonzero(bad[row])[0])
            cuts.append(Cut(index, row, metrics[column], float(values[row, column])))
            values = values[:row]
        kept.append(values)
    return kept, tuple(cuts)


def thinning(longest: int, every: int | None) -> int:
    """Return n, where rows 0, n, 2n, ... are used: as asked, or so that at most 1,000 rows are left.

    Raises:
        ValueError: `every` is less than 1.
    """
    if every is None:
        return max(1, -(-longest // MOST_ROWS))
    if every < 1:
        raise ValueError(f"`every` must be at least 1; got {every}.")
    return every


def learn_scaling(
    runs: Sequence[Float[np.ndarray, "_ metrics"]],
    metrics: Sequence[str],
    normalize: Normalize,
    every: int = 1,
) -> Scaling:
    """Learn from runs which metrics to keep and how to standardize them.

    Of a constant metric nothing can be learnt, and near-duplicates (|r| > 0.999 in the model's units)
    would count the same evidence twice: both are dropped, the later of a pair in the order given.

    Args:
        runs: cut and thinned, of usable length.
        metrics: names of the columns.
        normalize: see `Scaling`.
        every: how they were thinned.

    Raises:
        ValueError: no metric is left.
    """
    flat = (
        np.all([is_constant(run) for run in runs], axis=0)
        if normalize == "per-run"
        else is_constant(np.concatenate(runs))
    )
    where = "within every run" if normalize == "per-run" else "over all runs"
    metrics = list(metrics)
    dropped = [Dropped(name, f"constant {where}") for name, still in zip(metrics, flat, strict=True) if still]
    names = [name for name, still in zip(metrics, flat, strict=True) if not still]
    logged: tuple[str, ...] = ()
    if normalize == "log-pooled":
        lowest = np.min([run.min(axis=0) for run in runs], axis=0)
        logged = tuple(name for name in names if lowest[metrics.index(name)] > 0)

    def scaling(names: list[str]) -> Scaling:
        raw = Scaling(
            requested=tuple(metrics),
            names=tuple(names),
            dropped=tuple(sorted(dropped, key=lambda entry: metrics.index(entry.metric))),
            normalize=normalize,
            logged=tuple(name for name in logged if name in names),
            centre=np.zeros(len(names)),
            scale=np.ones(len(names)),
            every=every,
        )
        if normalize == "per-run":
            return replace(raw, centre=None, scale=None)
        rows = np.concatenate([raw.apply(run) for run in runs])
        return replace(raw, centre=rows.mean(axis=0), scale=rows.std(axis=0))

    if names:
        first = scaling(names)
        rows = np.concatenate([first.apply(run) for run in runs])
        for later, earlier, r in _duplicates(rows):
            dropped.append(Dropped(names[later], f"duplicates {names[earlier]} (r = {r:.5f})"))
        names = [name for name in names if name not in {entry.metric for entry in dropped}]
    if not names:
        reasons = "; ".join(f"{entry.metric}: {entry.why}" for entry in dropped)
        raise ValueError(f"`metrics` must hold at least one that varies; every one was dropped ({reasons}).")
    return scaling(names)


def _duplicates(rows: Float[np.ndarray, "rows features"]) -> list[tuple[int, int, float]]:
    """Return (later, earlier, r) for each column to drop, comparing with kept columns only."""
    correlation = np.atleast_2d(np.corrcoef(rows, rowvar=False))
    kept: list[int] = []
    found = []
    for column in range(rows.shape[1]):
        twin = next((other for other in kept if abs(correlation[column, other]) > DUPLICATE), None)
        if twin is None:
            kept.append(column)
        else:
            found.append((column, twin, float(correlation[column, twin])))
    return found


def stack(
    runs: Sequence[Float[np.ndarray, "_ features"]],
) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " runs"]]:
    """Return all rows under one another and the length of each run."""
    return np.concatenate(runs), np.array([len(run) for run in runs])
