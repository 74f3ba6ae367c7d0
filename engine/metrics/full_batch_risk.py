"""Full-batch risk of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, mean_loss


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean loss of all training rows normalized as one batch."""
    return mean_loss(state.task, state.train_outputs, state.train[1])


METRIC = Metric(
    label="Full-batch risk",
    unit="nats",
    formula="mean loss of all training rows normalized as one batch (the risk of gradient descent)",
    source="Wu, Yun & Sra 2023, section 3",
    log=True,
    compute=compute,
)
