"""Test loss of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, mean_loss


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the mean loss of the held-out rows normalized as one batch; None where there are none."""
    if state.test_outputs is None:
        return None
    return mean_loss(state.task, state.test_outputs, state.test[1])


METRIC = Metric(
    label="Test loss",
    unit="nats",
    formula="mean loss of the held-out rows normalized as one batch",
    source="the usual definition",
    log=True,
    compute=compute,
    needs="held-out rows",
)
