"""Train accuracy of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, accuracy


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the share of training rows classified correctly; None where there are no classes."""
    return accuracy(state.task, state.train_outputs, state.train[1])


METRIC = Metric(
    label="Train accuracy",
    unit="",
    formula="share of training rows, normalized as one batch, classified correctly (largest output, or sign)",
    source="the usual definition",
    log=False,
    compute=compute,
    needs="classes or signs as targets",
)
