"""Full-batch risk of the tail average of every replica."""

from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from engine.at_once import at_once
from engine.metrics._metric import Metric, State, mean_loss


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the mean loss of all training rows at the tail average; None before that has begun."""
    if state.tail is None:
        return None
    inputs, targets = state.train
    outputs = vmap(state.forward, in_dims=(0, None), chunk_size=at_once(inputs))(dict(state.tail), inputs)
    return mean_loss(state.task, outputs, targets)


METRIC = Metric(
    label="Tail-average risk",
    unit="nats",
    formula=(
        "mean loss of all training rows, normalized as one batch, at the mean of the parameters at the "
        "starts of the epochs k = 1, ..., K with k > K/2"
    ),
    source="Rakhlin, Shamir & Sridharan 2012; of shuffled orders, Cha, Lee & Yun 2023",
    log=True,
    compute=compute,
    default=False,
)
