"""Update norm of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, global_norm


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the Euclidean norm of the change of all parameters; None before the first step."""
    if state.updates is None:
        return None
    return global_norm(state.updates)


METRIC = Metric(
    label="Update norm",
    unit="",
    formula="Euclidean norm of the change of all parameters in the step just taken",
    source="the usual definition",
    log=True,
    compute=compute,
)
