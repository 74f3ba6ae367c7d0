"""Test accuracy of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State, accuracy


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the share of held-out rows classified correctly; rows normalized as one batch."""
    if state.test_outputs is None:
        return None
    return accuracy(state.task, state.test_outputs, state.test[1])


METRIC = Metric(
    label="Test accuracy",
    unit="",
    formula="share of held-out rows, normalized as one batch, classified correctly (largest output, or sign)",
    source="the usual definition",
    log=False,
    compute=compute,
    needs="held-out rows of a classification task",
)
