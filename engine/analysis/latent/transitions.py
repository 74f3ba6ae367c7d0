"""How often, when and why training goes from one latent state to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import betaincinv

from engine.analysis.latent.model import LatentModel, decode_rows, filtered_probabilities
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.preparation import Runs


class Moment(NamedTuple):
    """One transition that happened.

    Attributes:
        run: position of the run.
        row: row of the run as given, before any thinning: the first one in the new state.
    """

    run: int
    row: int


class Interval(NamedTuple):
    """A 95 % interval of a probability."""

    low: float
    high: float


@dataclass(frozen=True)
class Transition:
    """One kind of transition, and the part each metric has in it.

    Attributes:
        source: state left.
        target: state entered.
        moments: where it happens on the most probable paths, run by run.
        share: of the departures from `source` on those paths, how many go to `target`.
        interval: of the probability that a departure goes there, see `jeffreys`.
        names: metrics, the order of the arrays below.
        gradient: mean over those moments of d ln p(s_t = target | z_1..t) / d z_t, per model unit: positive
            where a larger value makes the new state more believable.
        strength: mean absolute value of that gradient; rank metrics by this one, since signs may cancel.
        difference: mean of the target less mean of the source, in model units.
    """

    source: int
    target: int
    moments: tuple[Moment, ...]
    share: float
    interval: Interval
    names: tuple[str, ...]
    gradient: Float[np.ndarray, " features"]
    strength: Float[np.ndarray, " features"]
    difference: Float[np.ndarray, " features"]

    @property
    def count(self) -> int:
        """Times it happens."""
        return len(self.moments)


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
    rows = model.scaling.rows_of(runs)
    moments: dict[tuple[int, int], list[Moment]] = {}
    gradients: dict[tuple[int, int], list[Float[np.ndarray, " features"]]] = {}
    departures = np.zeros(model.n_states, dtype=int)
    for index, (run, path) in enumerate(zip(rows, decode_rows(model.parameters, rows).paths, strict=True)):
        entered = np.flatnonzero(np.diff(path)) + 1
        if not len(entered):
            continue
        found = filtered_gradient(model.parameters, run, path)
        for t in entered:
            pair = int(path[t - 1]), int(path[t])
            departures[pair[0]] += 1
            moments.setdefault(pair, []).append(Moment(index, int(t) * model.scaling.every))
            gradients.setdefault(pair, []).append(found[t])
    return [
        Transition(
            source=source,
            target=target,
            moments=tuple(happened),
            share=len(happened) / int(departures[source]),
            interval=jeffreys(len(happened), int(departures[source])),
            names=model.names,
            gradient=np.mean(gradients[source, target], axis=0),
            strength=np.mean(np.abs(gradients[source, target]), axis=0),
            difference=model.means[target] - model.means[source],
        )
        for (source, target), happened in sorted(moments.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def jeffreys(hits: int, trials: int) -> Interval:
    """Return the Jeffreys 95 % interval of a probability: the middle of Beta(hits + 1/2, misses + 1/2).

    Its end is 0 where nothing hit, and 1 where everything did. Departures from one state are independent
    draws in a Markov chain; that their states are themselves inferred is not in the interval.

    Raises:
        ValueError: not 0 <= hits <= trials, or no trial.

    Source:
        Brown, Cai & DasGupta 2001, section 3.3.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"`hits` must be 0 to `trials`, at least one of them; got {hits} of {trials}.")
    a, b = hits + 0.5, trials - hits + 0.5
    low = 0.0 if hits == 0 else float(betaincinv(a, b, 0.025))
    high = 1.0 if hits == trials else float(betaincinv(a, b, 0.975))
    return Interval(low, high)


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
