"""Gradient norm of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, global_norm


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the Euclidean norm of the gradient over all parameters; None before the first step."""
    if state.gradients is None:
        return None
    return global_norm(state.gradients)


METRIC = Metric(
    label="Gradient norm",
    unit="",
    formula="Euclidean norm of the gradient over all parameters, of the step just taken",
    source="the usual definition",
    log=True,
    compute=compute,
)
