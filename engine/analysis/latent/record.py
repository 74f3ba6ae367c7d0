"""The stored form of a fit: a summary that JSON can hold, and arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Real

from engine.analysis.latent.model import LatentModel
from engine.analysis.latent.preparation import Dropped, Scaling
from engine.analysis.latent.selection import Selection

STATE_ORDER = "mean step of first visit"


def to_record(
    selection: Selection,
    labels: Sequence[Mapping[str, Any]],
    steps: Sequence[Real[np.ndarray, " _"]],
    restarts: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a store keeps of a fit.

    Args:
        selection: of `fit`.
        labels: per run, in the order fitted: whatever names it, such as run, arm and seed.
        steps: per run, the step of each of its rows as given to `fit`, before any cut.
        restarts: as given to `fit`.
        seed: as given to `fit`.

    Returns:
        summary: n_states, metrics (kept), requested, dropped, logged, normalize, covariance, restarts, seed,
            arms, runs (labels with held_out, left_out, steps = rows used, cut_at = step of the first row not
            used or None), table, rule, trust, warnings, state_order. A number that is not finite is None.
        arrays: startprob, transmat, means, covars, path, posterior, steps, offsets (run r is rows
            offsets[r] to offsets[r + 1]), and centre and scale unless "per-run".

    Raises:
        ValueError: `labels` or `steps` do not match the runs of the fit.
    """
    model, trust = selection.best, selection.trust
    for name, given in (("labels", labels), ("steps", steps)):
        if len(given) != len(model.paths):
            raise ValueError(f"`{name}` must match the {len(model.paths)} runs fitted; got {len(given)}.")
    cut_rows = {each.run: each.row for each in trust.cuts}
    held_out, left_out = set(trust.held_out), set(trust.left_out)
    runs = []
    for index, (label, path, each) in enumerate(zip(labels, model.paths, steps, strict=True)):
        row = cut_rows.get(index)
        if len(each) < len(path) or (index not in left_out and row is None and len(each) != len(path)):
            raise ValueError(f"`steps[{index}]` must have one step per row of its run; got {len(each)}.")
        runs.append(
            {
                **label,
                "held_out": index in held_out,
                "left_out": index in left_out,
                "steps": len(path),
                "cut_at": None if row is None else int(each[row]),
            }
        )
    summary = {
        "n_states": model.n_states,
        "metrics": list(model.names),
        "requested": list(model.scaling.requested),
        "dropped": [each._asdict() for each in model.dropped],
        "logged": list(model.scaling.logged),
        "normalize": model.normalize,
        "covariance": model.covariance,
        "restarts": restarts,
        "seed": seed,
        "arms": list(dict.fromkeys(label["arm"] for label in labels if "arm" in label)),
        "runs": runs,
        "table": [_jsonable(asdict(row)) for row in selection.table],
        "rule": trust.rule,
        "trust": _jsonable(
            {
                "restart_hits": trust.restart_hits,
                "restart_spread": trust.restart_spread,
                "occupancy": trust.occupancy.tolist(),
                "entropy": trust.entropy,
                "autocorrelation": trust.autocorrelation.tolist(),
            }
        ),
        "warnings": list(trust.warnings),
        "state_order": STATE_ORDER,
    }
    arrays = {
        "startprob": model.startprob,
        "transmat": model.transmat,
        "means": model.means,
        "covars": model.covars,
        "steps": np.concatenate(
            [each[: len(path)] for each, path in zip(steps, model.paths, strict=True)]
        ).astype(np.int64),
        "path": np.concatenate(model.paths).astype(np.int16),
        "posterior": np.concatenate(model.posteriors).astype(np.float32),
        "offsets": np.cumsum([0, *map(len, model.paths)]).astype(np.int64),
    }
    if model.scaling.centre is not None and model.scaling.scale is not None:
        arrays |= {"centre": model.scaling.centre, "scale": model.scaling.scale}
    return summary, arrays


def from_record(summary: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> LatentModel:
    """Return the model of a stored fit; posteriors come back at the precision kept, float32.

    Raises:
        KeyError: a part of the record is missing.
    """
    bounds = arrays["offsets"][1:-1]
    return LatentModel(
        n_states=summary["n_states"],
        startprob=arrays["startprob"],
        transmat=arrays["transmat"],
        means=arrays["means"],
        covars=arrays["covars"],
        scaling=Scaling(
            requested=tuple(summary["requested"]),
            names=tuple(summary["metrics"]),
            dropped=tuple(Dropped(**each) for each in summary["dropped"]),
            normalize=summary["normalize"],
            logged=tuple(summary["logged"]),
            centre=arrays.get("centre"),
            scale=arrays.get("scale"),
        ),
        paths=[path.astype(int) for path in np.split(arrays["path"], bounds)],
        posteriors=[posterior.astype(float) for posterior in np.split(arrays["posterior"], bounds)],
    )


def _jsonable(value: Any) -> Any:
    """Return the value with tuples as lists and numbers that are not finite as None: JSON has neither."""
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
