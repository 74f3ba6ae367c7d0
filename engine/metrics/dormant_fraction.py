"""Fraction of dormant units of every replica."""

import torch
from jaxtyping import Float
from torch import Tensor

from engine.metrics._dormancy import scores
from engine.metrics._metric import Metric, State

ROWS = 256
THRESHOLD = 0.025


def _dormant(state: State) -> dict[str, Float[Tensor, "seeds units"]]:
    """Return 1 for each dormant unit and 0 for the others; NaN in a replica that is not finite."""
    return {
        name: torch.where(score.isnan(), score, (score <= THRESHOLD).to(score.dtype))
        for name, score in scores(state.hidden(state.train[0][:ROWS])).items()
    }


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the share of all hidden units that are dormant; None of a model without nonlinearities."""
    units = list(_dormant(state).values())
    return torch.cat(units, 1).mean(1) if units else None


def layers(state: State) -> dict[str, Float[Tensor, " seeds"]]:
    """Return the share of each nonlinearity's units, by its module's name."""
    return {name: units.mean(1) for name, units in _dormant(state).items()}


METRIC = Metric(
    label="Dormant fraction",
    unit="",
    formula=(
        f"share of the units of all nonlinearities whose mean |h| over the first {ROWS} training rows "
        f"is at most {THRESHOLD} of their layer's mean"
    ),
    source="Sokar, Agarwal, Castro & Evci 2023, definition 3.1",
    log=False,
    compute=compute,
    layers=layers,
    needs="nonlinearities that are modules, which linear and recurrent networks have not",
)
