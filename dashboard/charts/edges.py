"""Splits a trace into what an axis can show and what it cannot: one Inf or 0 must not collapse a scale."""

from typing import NamedTuple

import numpy as np
import pandas as pd

KINDS = ("NaN", "+∞", "−∞", "zero or less")
_NAMES = {"nan": "NaN", "+inf": "+∞", "-inf": "−∞"}
_PLACES = 60


class Split(NamedTuple):
    """A trace in two parts.

    Attributes:
        drawn: the rows with a value that the axis can show.
        edges: the others, counted by arm, kind and place along x: arm, x, kind, count, seeds.
    """

    drawn: pd.DataFrame
    edges: pd.DataFrame


def split(frame: pd.DataFrame, log: bool) -> Split:
    """Split a frame of arm, seed, x, value, kind by whether a (log) axis can show the value."""
    value = frame["value"].to_numpy(np.float64)
    finite = np.isfinite(value)
    with np.errstate(invalid="ignore"):
        drawable = finite & (value > 0) if log else finite
    lost = frame.loc[~drawable, ["arm", "seed", "x"]].copy()
    lost["kind"] = [
        "zero or less" if is_finite else _NAMES.get(str(kind), "NaN")
        for is_finite, kind in zip(finite[~drawable], frame.loc[~drawable, "kind"], strict=True)
    ]
    return Split(frame[drawable], _counted(lost, frame["x"]))


def _counted(lost: pd.DataFrame, x: pd.Series) -> pd.DataFrame:
    columns = ["arm", "x", "kind", "count", "seeds"]
    if lost.empty:
        return pd.DataFrame(
            {name: pd.Series(dtype=object if name in ("arm", "kind") else float) for name in columns}
        )
    start, end = float(x.min()), float(x.max())
    width = (end - start) / _PLACES or 1.0
    lost["x"] = (
        start + (np.floor((lost["x"].astype(float) - start) / width).clip(0, _PLACES - 1) + 0.5) * width
    )
    grouped = lost.groupby(["arm", "x", "kind"], as_index=False, sort=True)
    return grouped.agg(count=("seed", "size"), seeds=("seed", "nunique"))


def ticks(low: float, high: float, log: bool, most: int = 6) -> list[float] | None:
    """Return where a log axis has its lines: powers of ten, or 1-2-5 within few decades; None for linear.

    Vega-Lite draws a line at every multiple within a decade, which hides the data behind a grid.
    """
    if not log:
        return None
    first, final = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    factors = (
        (1.0,)
        if np.log10(high / low) > 2.2
        else (1.0, 2.0, 5.0)
        if np.log10(high / low) > 0.7
        else tuple(range(1, 10))
    )
    every = max(1, -(-(final - first) // most)) if factors == (1.0,) else 1
    places = [factor * 10.0**power for power in range(first, final + 1, every) for factor in factors]
    return [place for place in places if low <= place <= high] or [low, high]


def domain(values: np.ndarray, log: bool) -> tuple[float, float]:
    """Return the ends of an axis that holds every value with a little room; (0, 1) or (0.1, 1) for none."""
    values = values[np.isfinite(values) & (values > 0)] if log else values[np.isfinite(values)]
    if not len(values):
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high, largest = values.min(), values.max(), np.finfo(float).max
    with np.errstate(
        over="ignore", under="ignore"
    ):  # beyond the numbers there are, the axis ends at the last
        if log:
            room = max((np.log10(high) - np.log10(low)) * 0.05, 0.05)
            bottom = np.power(10.0, np.log10(low) - room) or low
            top = min(np.power(10.0, np.log10(high) + room), largest)
            return float(min(bottom, low)), float(max(top, np.nextafter(high, largest), high))
        room = (high - low) * 0.05 or abs(high) * 0.05 or 0.5
        return float(max(low - room, -largest)), float(min(high + room, largest))
