"""Fits that come from hmmlearn, and fits that go out and come back as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.analysis.latent.fitting import first_visits
from engine.analysis.latent.model import LatentModel, decode_rows
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.preparation import Runs, Scaling, cut
from engine.analysis.latent.record import jsonable

FORMAT = "detour latent states"
VERSION = 1


def from_hmmlearn(hmm: Any, runs: Runs, metrics: Sequence[str]) -> LatentModel:
    """Return a model fitted in a notebook, its states numbered by the mean step of their first visit.

    Args:
        hmm: a fitted `hmmlearn.hmm.GaussianHMM` of any covariance type.
        runs: what it was fitted on, in the same units, one array a run.
        metrics: names of the columns.

    Raises:
        ValueError: the object is not a fitted Gaussian HMM, its numbers cannot be a model (a probability
            below 0, a covariance that is not positive definite, which hmmlearn can end with), or the runs
            have other columns.
    """
    parts = ("startprob_", "transmat_", "means_", "covars_", "covariance_type")
    missing = [name for name in parts if not hasattr(hmm, name)]
    if missing:
        raise ValueError(
            f"`hmm` must be a fitted hmmlearn GaussianHMM; {type(hmm).__name__} has no {missing[0]}."
        )
    kind = hmm.covariance_type
    covars = np.array(hmm.covars_, dtype=float)
    if kind == "diag":
        covars = np.diagonal(covars, axis1=1, axis2=2).copy()
    elif kind == "spherical":
        # After a fit hmmlearn 0.3.3 gives one scaled identity per state and metric, not per state.
        shape = np.array(hmm.means_).shape
        covars = np.broadcast_to(covars[:, 0, 0].reshape(shape[0], -1), shape).copy()
    parameters = Parameters(
        np.array(hmm.startprob_, dtype=float),
        np.array(hmm.transmat_, dtype=float),
        np.array(hmm.means_, dtype=float),
        covars,
        kind == "tied",
    )
    _require_model(parameters)
    if parameters.means.shape[1] != len(metrics):
        raise ValueError(
            f"`metrics` must name the {parameters.means.shape[1]} columns of the model; got {len(metrics)}."
        )
    names = tuple(metrics)
    # centre 0 and scale 1: the numbers are the caller's own
    scaling = Scaling(names, names, (), "none", (), np.zeros(len(names)), np.ones(len(names)))
    rows = [scaling.apply(run) for run in cut(runs, metrics)[0]]
    if not sum(map(len, rows)):
        raise ValueError("`runs` must hold at least one row that is finite.")
    order = first_visits(decode_rows(parameters, rows).paths, len(parameters.startprob))
    named = parameters.permuted(order)
    decoded = decode_rows(named, rows)
    return LatentModel(
        n_states=len(named.startprob),
        startprob=named.startprob,
        transmat=named.transmat,
        means=named.means,
        covars=named.covars,
        scaling=scaling,
        paths=decoded.paths,
        posteriors=decoded.posteriors,
        tied=named.tied,
    )


def to_json(summary: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """Return a stored fit, or what `model_record` says of a model alone, as JSON text.

    Every number is written so that it comes back to the same bits, and the same fit as the same text.
    """
    content = {
        "format": FORMAT,
        "version": VERSION,
        "summary": jsonable(dict(summary)),
        "arrays": {
            name: {"dtype": str(arrays[name].dtype), "values": arrays[name].tolist()}
            for name in sorted(arrays)
        },
    }
    return json.dumps(content, allow_nan=False)


def from_json(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the summary and arrays that `to_json` wrote; `from_record` makes a model of them.

    Raises:
        ValueError: the text is not JSON, not such a fit, or its parameters cannot be a model.
    """
    content = json.loads(text)  # a JSONDecodeError is a ValueError
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError("`text` must be a fit of latent states exported by Detour.")
    if content.get("version") != VERSION:
        raise ValueError(f"`text` must be of version {VERSION}; got {content.get('version')!r}.")
    try:
        summary = content["summary"]
        arrays = {
            name: np.array(each["values"], dtype=each["dtype"]) for name, each in content["arrays"].items()
        }
        parameters = Parameters(arrays["startprob"], arrays["transmat"], arrays["means"], arrays["covars"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"`text` is a damaged export: {error}.") from error
    _require_model(parameters)
    return summary, arrays


def _require_model(parameters: Parameters) -> None:
    """Raise ValueError unless the numbers are those of a Gaussian HMM."""
    arrays = (parameters.startprob, parameters.transmat, parameters.means, parameters.covars)
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("The model must hold finite numbers; the fit it comes from has failed.")
    for name, each in (("startprob", parameters.startprob), ("transmat", parameters.transmat)):
        if (each < 0).any() or not np.allclose(each.sum(axis=-1), 1):
            raise ValueError(f"`{name}` must hold probabilities that sum to 1; got sums {each.sum(axis=-1)}.")
    spread = parameters.covars
    least = float(spread.min() if spread.ndim == 2 else np.linalg.eigvalsh(spread).min())
    if least <= 0:
        raise ValueError(
            f"Covariances must be positive definite; the least eigenvalue is {least:.3g}. Fit again with "
            f"fewer or less related metrics, or with a floor (`engine.analysis.latent.fit`)."
        )
