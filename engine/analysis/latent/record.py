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
from engine.analysis.latent.transitions import Transition

STATE_ORDER = "mean step of first visit"


def to_record(
    selection: Selection,
    labels: Sequence[Mapping[str, Any]],
    steps: Sequence[Real[np.ndarray, " _"]],
    restarts: int,
    seed: int,
    transitions: Sequence[Transition] = (),
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a store keeps of a fit.

    Args:
        selection: of `fit`.
        labels: per run, in the order fitted: whatever names it, such as run, arm and seed.
        steps: per run, the step of each of its rows as given to `fit`, before any cut.
        restarts: as given to `fit`.
        seed: as given to `fit`.
        transitions: of `explain`, over the runs fitted.

    Returns:
        summary: what `model_record` says, and restarts, seed, arms, runs (labels with fold, None where left
            out; left_out; steps = rows used; cut_at = step of the first row not used or None), table, rule,
            trust, transitions (with the runs and steps where they happen), warnings. A number that is not
            finite is None.
        arrays: those of `model_record`, and steps: of each row used.
        Where the fit was refitted, summary has refits (count; agreement = per refit, share of rows in the
            same state as the fit) and arrays has those of `Refits.arrays`.

    Raises:
        ValueError: `labels` or `steps` do not match the runs of the fit.
    """
    model, trust = selection.best, selection.trust
    for name, given in (("labels", labels), ("steps", steps)):
        if len(given) != len(model.paths):
            raise ValueError(f"`{name}` must match the {len(model.paths)} runs fitted; got {len(given)}.")
    cut_rows = {each.run: each.row for each in trust.cuts}
    fold_of = {run: number for number, fold in enumerate(trust.folds) for run in fold}
    every = model.scaling.every
    runs = []
    for index, (label, path, each) in enumerate(zip(labels, model.paths, steps, strict=True)):
        row = cut_rows.get(index)
        fitted = index in fold_of
        used = -(-(len(each) if row is None else row) // every)
        if (row is not None and len(each) <= row) or (fitted and used != len(path)):
            raise ValueError(f"`steps[{index}]` must have one step per row of its run; got {len(each)}.")
        runs.append(
            {
                **label,
                "fold": fold_of.get(index),
                "left_out": not fitted,
                "steps": len(path),
                "cut_at": None if row is None else int(each[row]),
            }
        )
    summary, arrays = model_record(model)
    summary |= {
        "restarts": restarts,
        "seed": seed,
        "arms": list(dict.fromkeys(label["arm"] for label in labels if "arm" in label)),
        "runs": runs,
        "table": [jsonable(asdict(row)) for row in selection.table],
        "rule": trust.rule,
        "trust": jsonable(
            {
                "folds": len(trust.folds),
                "restart_hits": trust.restart_hits,
                "restart_spread": trust.restart_spread,
                "rivals": [each._asdict() for each in trust.rivals],
                "occupancy": trust.occupancy.tolist(),
                "entropy": trust.entropy,
                "autocorrelation": trust.autocorrelation.tolist(),
            }
        ),
        "transitions": [_transition(each, steps) for each in transitions],
        "warnings": list(trust.warnings),
    }
    if selection.refits is not None:
        summary["refits"] = {
            "count": len(selection.refits.counts),
            "agreement": selection.refits.agreement(model.paths),
        }
        arrays |= selection.refits.arrays()
    grid = [each[::every][: len(path)] for each, path in zip(steps, model.paths, strict=True)]
    return summary, arrays | {"steps": np.concatenate(grid).astype(np.int64)}


def _transition(transition: Transition, steps: Sequence[Real[np.ndarray, " _"]]) -> dict[str, Any]:
    return {
        "source": transition.source,
        "target": transition.target,
        "count": transition.count,
        "runs": [moment.run for moment in transition.moments],
        "steps": [int(steps[moment.run][moment.row]) for moment in transition.moments],
        "share": transition.share,
        "interval": list(transition.interval),
        "gradient": transition.gradient.tolist(),
        "strength": transition.strength.tolist(),
        "difference": transition.difference.tolist(),
    }


def model_record(model: LatentModel) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return what a store keeps of a model alone.

    Returns:
        summary: n_states, metrics (kept), requested, dropped, logged, normalize, every, covariance, topology,
            state_order.
        arrays: startprob, transmat, means, covars, path, posterior, offsets (run r is rows offsets[r] to
            offsets[r + 1]), and centre and scale unless "per-run".
    """
    summary = {
        "n_states": model.n_states,
        "metrics": list(model.names),
        "requested": list(model.scaling.requested),
        "dropped": [each._asdict() for each in model.dropped],
        "logged": list(model.scaling.logged),
        "normalize": model.normalize,
        "every": model.scaling.every,
        "covariance": model.covariance,
        "topology": model.topology,
        "state_order": STATE_ORDER,
    }
    arrays = {
        "startprob": model.startprob,
        "transmat": model.transmat,
        "means": model.means,
        "covars": model.covars,
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
            every=summary.get("every", 1),
        ),
        paths=[path.astype(int) for path in np.split(arrays["path"], bounds)],
        posteriors=[posterior.astype(float) for posterior in np.split(arrays["posterior"], bounds)],
        tied=summary["covariance"] == "tied",
        topology=summary.get("topology", "ergodic"),
    )


def jsonable(value: Any) -> Any:
    """Return the value with tuples as lists and numbers that are not finite as None: JSON has neither."""
    if isinstance(value, dict):
        return {key: jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
