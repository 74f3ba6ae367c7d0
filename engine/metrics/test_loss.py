"""Test loss of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, cross_entropy


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the cross-entropy of the held-out rows normalized as one batch."""
    return cross_entropy(state.test_logits, state.test[1])


METRIC = Metric(
    label="Test loss",
    unit="nats",
    formula="cross-entropy of the held-out rows normalized as one batch",
    source="the usual definition",
    log=True,
    compute=compute,
)
