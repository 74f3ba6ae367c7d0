"""What a race says of each entrant: its slopes with their intervals, and the rate of theory beside them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from dashboard.charts.ordering_race import MEASURED, REFERENCE
from dashboard.race_groups import Entrant
from dashboard.wording import interval, significant
from engine.analysis.shuffling import REFERENCE_RATES, Rate, ReferenceRate, rate

IN_K, SCALED = "Slope in ln K", "in ln(K / ln(nK))"
_LINES = {"label": str, "line": str, "x": float, "centre": float, "formula": str}


def theory_of(one: Entrant, line: str, metric: str) -> ReferenceRate | None:
    """Return the rate that theory has for an error: for F - F* of the last iterate, of some orderings."""
    return REFERENCE_RATES.get(one.ordering) if (line, metric) == (MEASURED, "excess_risk") else None


def told(
    one: Entrant,
    line: str,
    metric: str,
    errors: Float[np.ndarray, "seeds budgets"],
    budgets: Sequence[int],
    examples: int | None,
) -> dict[str, str]:
    """Return a row of the table.

    Args:
        one: whose errors these are.
        line: of the last iterate, or of the tail average.
        metric: its column in the traces.
        errors: of finished runs; NaN where a seed has none.
        budgets: epochs, or steps, of the columns.
        examples: n, the steps of an epoch; None where K / ln(nK) means nothing.
    """
    found = rate(errors, np.array(budgets)) if len(budgets) > 1 else None
    scaled = None
    if found is not None and examples is not None and examples * budgets[0] > np.e:
        scaled = rate(errors, np.array(budgets), "K / ln(nK)", examples)
    theory = theory_of(one, line, metric)
    return {
        "Ordering": one.label,
        "Error of": line,
        IN_K: _slope(found),
        SCALED: _slope(scaled),
        "n": "–" if found is None else f"{found.n}",
        "Theory": "" if theory is None else _powers(theory),
        "Rate of theory": "" if theory is None else theory.formula,
        "Source": "" if theory is None else theory.source,
    }


def _slope(found: Rate | None) -> str:
    if found is None or not np.isfinite(found.slope):
        return "–"
    return f"{significant(found.slope)} {interval(found.low, found.high)}".strip()


def _powers(theory: ReferenceRate) -> str:
    return ", then ".join(significant(power, 1) for power in theory.exponents)


def references(
    frame: pd.DataFrame, racing: Sequence[Entrant], metric: str, examples: dict[str, int | None], least: float
) -> pd.DataFrame:
    """Return the rates of theory as lines, each from an entrant's first point on.

    Args:
        frame: the points: label, line, x, centre.
        racing: the entrants.
        metric: what their last iterates are measured by.
        examples: n of each entrant by its label; without it there is no line.
        least: the share of an entrant's last x from which on points count.
    """
    parts = list[pd.DataFrame]()
    for one in racing:
        theory, n = theory_of(one, MEASURED, metric), examples[one.label]
        own = frame[(frame["label"] == one.label) & (frame["line"] == MEASURED)]
        own = own[own["x"] >= least * own["x"].max()]
        if theory is None or n is None or len(own) < 2:
            continue
        at, centre = own["x"].to_numpy(float), own["centre"].to_numpy(float)
        x = np.geomspace(at.min(), at.max(), 24)
        shape = theory.at(n, x)
        values = centre[at.argmin()] * shape / shape[0]
        parts.append(
            pd.DataFrame(
                {"label": one.label, "line": REFERENCE, "x": x, "centre": values, "formula": theory.formula}
            )
        )
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _LINES.items()})
    return pd.concat(parts, ignore_index=True)
