"""What drives each transition between latent states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.model import LatentModel, decode_rows, filtered_probabilities
from engine.analysis.latent.preparation import Runs, cut


@dataclass(frozen=True)
class Transition:
    """One kind of transition, and the part each metric has in it.

    Attributes:
        source: state left.
        target: state entered.
        count: times it happens on the most probable paths.
        names: metrics, the order of the arrays below.
        gradient: mean over those moments of d ln p(s_t = target | z_1..t) / d z_t, per model unit: positive
            where a larger value makes the new state more believable.
        strength: mean absolute value of that gradient; rank metrics by this one, since signs may cancel.
        difference: mean of the target less mean of the source, in model units.
    """

    source: int
    target: int
    count: int
    names: tuple[str, ...]
    gradient: Float[np.ndarray, " features"]
    strength: Float[np.ndarray, " features"]
    difference: Float[np.ndarray, " features"]


def explain(model: LatentModel, runs: Runs) -> list[Transition]:
    """Explain every transition on the most probable paths of the runs, the most frequent first.

    Args:
        model: a fitted model.
        runs: [steps, metrics], the columns of `model.scaling.requested` in that order.

    Raises:
        ValueError: wrong columns, or a metric on a log scale that is not positive.

    Source:
        Hu, Chen, Saphra & Cho 2023, section 3.3; the gradient as in `filtered_gradient`.
    """
    kept, _ = cut(runs, model.scaling.requested)
    rows = [model.scaling.apply(run) for run in kept]
    gradients: dict[tuple[int, int], list[Float[np.ndarray, " features"]]] = {}
    for run, path in zip(rows, decode_rows(model.parameters, rows).paths, strict=True):
        moments = np.flatnonzero(np.diff(path)) + 1
        if not len(moments):
            continue
        found = filtered_gradient(model.parameters, run, path)
        for t in moments:
            gradients.setdefault((int(path[t - 1]), int(path[t])), []).append(found[t])
    return [
        Transition(
            source=source,
            target=target,
            count=len(moments),
            names=model.names,
            gradient=np.mean(moments, axis=0),
            strength=np.mean(np.abs(moments), axis=0),
            difference=model.means[target] - model.means[source],
        )
        for (source, target), moments in sorted(gradients.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def filtered_gradient(
    parameters: Parameters, run: Float[np.ndarray, "steps features"], states: Int[np.ndarray, " steps"]
) -> Float[np.ndarray, "steps features"]:
    """Return d ln p(s_t = k | z_1..t) / d z_t at every row, for the state k given at that row.

    S_k^-1 (mu_k - z_t) - sum_j p_j(t) S_j^-1 (mu_j - z_t), where p_j(t) is the filtered probability of j.

    Args:
        parameters: of the HMM.
        run: one run in model units.
        states: k for each row.

    Source:
        Hu, Chen, Saphra & Cho 2023, appendix; derived anew: their notebook sums the second term over metrics.
    """
    away = parameters.means[None] - run[:, None]
    if parameters.covars.ndim == 2:
        pull = away / parameters.covars
    else:
        pull = np.einsum("kij,tkj->tki", np.linalg.inv(parameters.covars), away)
    expected = np.einsum("tk,tki->ti", filtered_probabilities(parameters, run), pull)
    gradient: Float[np.ndarray, "steps features"] = pull[np.arange(len(run)), states] - expected
    return gradient
