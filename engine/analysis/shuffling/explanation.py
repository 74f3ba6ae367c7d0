"""What the orders of a study's runs do to them at each checkpoint, as a record that a store can keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from engine.analysis.shuffling.contrast import Drawn, Picture
from engine.analysis.shuffling.prediction import Kind, Verdict
from engine.analysis.shuffling.risks import Distances, Risks
from engine.analysis.shuffling.separation import Separability

KINDS: tuple[str, ...] = get_args(Kind)
NUMBERS = (
    *("own", "reshuffled", "reshuffled_se", "full", "distance_own", "distance_reshuffled", "distance_full"),
    *("slope", "margin", "least", "settles_after", "separable", "misclassified", "residual", "alignment"),
)
"""Columns of the table that hold numbers; NaN where a quantity does not exist."""
NO_ROWS = Drawn(np.empty((0, 2)), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, dtype=bool), 0)
"""Stands for a panel of a checkpoint without a picture."""


@dataclass(frozen=True)
class Explained:
    """One run at one checkpoint.

    Attributes:
        run: position in the record's list of runs.
        step: of the checkpoint.
        risks: of its read-out.
        distances: of its read-out to the least-squares optima; None for signs and classes.
        split: of its own batches, for the two classes of the record; None for values.
        verdict: on the full batch; None for values.
        alignment: cosine of the read-out and the predicted direction; NaN without one.
        picture: of the two classes; None for values.
    """

    run: int
    step: int
    risks: Risks
    distances: Distances | None
    split: Separability | None
    verdict: Verdict | None
    alignment: float
    picture: Picture | None


Arrays = dict[str, Shaped[np.ndarray, "..."]]


def to_record(each: Sequence[Explained]) -> tuple[dict[str, Any], Arrays]:
    """Return what a store keeps: small facts, and arrays.

    Args:
        each: run by run, at ascending steps.
    """
    cautions = sorted({one.verdict.caution for one in each if one.verdict and one.verdict.caution})
    rows = [_numbers(one) for one in each]
    arrays: Arrays = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in NUMBERS}
    arrays["run"] = np.array([one.run for one in each], dtype=np.int32)
    arrays["step"] = np.array([one.step for one in each], dtype=np.int64)
    arrays["exact"] = np.array([one.risks.reshuffled.exact for one in each], dtype=bool)
    told = [one.verdict for one in each]
    arrays["kind"] = np.array([-1 if one is None else KINDS.index(one.kind) for one in told], dtype=np.int8)
    arrays["caution"] = np.array(
        [cautions.index(one.caution) if one and one.caution else -1 for one in told], dtype=np.int16
    )
    splits = [one.split and one.split.certificate for one in each]
    arrays["rank"] = np.array([-1 if one is None else one.rank for one in splits], dtype=np.int32)
    arrays["complete"] = np.array([one is not None and one.complete for one in splits], dtype=bool)
    return {"cautions": cautions}, arrays | _points([one.picture for one in each])


def _numbers(one: Explained) -> dict[str, float]:
    risks, nothing = one.risks, float("nan")
    found = dict.fromkeys(NUMBERS, nothing)
    found |= {"own": risks.own, "full": risks.full, "reshuffled": float(risks.reshuffled.value)}
    found |= {"reshuffled_se": float(risks.reshuffled.standard_error), "alignment": one.alignment}
    if one.distances is not None:
        found |= {f"distance_{name}": value for name, value in one.distances._asdict().items()}
    if one.split is not None and one.verdict is not None:
        found |= {name: getattr(one.verdict, name) for name in ("slope", "least", "settles_after")}
        found |= {"margin": one.split.margin, "separable": float(one.split.separable.mean())}
        found |= {"misclassified": float(one.verdict.misclassified.mean())}
        found |= {"residual": one.split.certificate.residual}
    return found


def _points(pictures: Sequence[Picture | None]) -> Arrays:
    """Return the points of all pictures one after the other, own batches before the full batch."""
    if not any(pictures):
        return {}
    panels = [panel for one in pictures for panel in ((one.own, one.full) if one else (NO_ROWS, NO_ROWS))]
    return {
        "points": np.concatenate([one.at for one in panels]).astype(np.float32),
        "label": np.concatenate([one.label for one in panels]).astype(np.int8),
        "example": np.concatenate([one.example for one in panels]).astype(np.int32),
        "wrong": np.concatenate([one.wrong for one in panels]),
        "offsets": np.cumsum([0, *(len(one.label) for one in panels)]).astype(np.int64),
        "rows": np.array([one.rows for one in panels], dtype=np.int64),
        "shown": np.array([one.shown if one else 0.0 for one in pictures], dtype=np.float64),
    }


def table(
    runs: Sequence[Mapping[str, Any]], cautions: Sequence[str], arrays: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """Return one row for each run and checkpoint.

    Columns: place (of the checkpoint in the record), arm, seed, step, those of `NUMBERS`, exact, kind ("" of
    values), caution, rank, complete.

    Args:
        runs: of the record: each with `arm` and `seed`.
        cautions: of the record.
        arrays: of the record.
    """
    which = arrays["run"]
    told = (*KINDS, "")
    return pd.DataFrame(
        {
            "place": np.arange(len(which)),
            "arm": [str(runs[one]["arm"]) for one in which],
            "seed": [int(runs[one]["seed"]) for one in which],
            "step": arrays["step"],
            **{name: arrays[name] for name in NUMBERS},
            "exact": arrays["exact"],
            "kind": [told[one] for one in arrays["kind"]],
            "caution": [(*cautions, "")[one] for one in arrays["caution"]],
            "rank": arrays["rank"],
            "complete": arrays["complete"],
        }
    )


def picture(arrays: Mapping[str, np.ndarray], place: int) -> Picture | None:
    """Return the picture of one checkpoint; None where there is none."""
    if "points" not in arrays or arrays["rows"][2 * place] == 0:
        return None
    panels = []
    for panel in (2 * place, 2 * place + 1):
        a, b = arrays["offsets"][panel], arrays["offsets"][panel + 1]
        at, label, example, wrong = (arrays[name][a:b] for name in ("points", "label", "example", "wrong"))
        panels.append(Drawn(at, label, example, wrong, int(arrays["rows"][panel])))
    return Picture(panels[0], panels[1], float(arrays["shown"][place]))
