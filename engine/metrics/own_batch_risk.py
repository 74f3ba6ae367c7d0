"""Own-batch risk of every replica."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State


def compute(state: State) -> Float[Tensor, " seeds"]:
    """Return the mean loss over the batches of the epoch under way, at fixed weights."""
    return state.own_losses()


METRIC = Metric(
    label="Own-batch risk",
    unit="nats",
    formula=(
        "mean loss over the batches of the epoch under way (at its start: about to begin), "
        "each normalized by itself, at fixed weights"
    ),
    source="Wu, Yun & Sra 2023, section 3",
    log=True,
    compute=compute,
)
