"""Full-batch risk of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, cross_entropy


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the cross-entropy of all training rows normalized as one batch."""
    inputs, labels = state.train
    return cross_entropy(state.logits(inputs), labels)


METRIC = Metric(
    label="Full-batch risk",
    unit="nats",
    formula="cross-entropy of all training rows normalized as one batch (the risk of gradient descent)",
    source="Wu, Yun & Sra 2023, section 3",
    log=True,
    compute=compute,
)
