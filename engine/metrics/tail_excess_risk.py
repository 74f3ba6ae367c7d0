"""Excess risk of the tail average of every replica's linear read-out."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State
from engine.metrics._optimum_distance import READOUT
from engine.metrics.excess_risk import excess


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the full-batch risk at the tail average above its least value; None before that has begun."""
    return excess(state.tail_matrix, state)


METRIC = Metric(
    label="Tail-average excess risk",
    unit="",
    formula=(
        "F - F* = (1/n) ||(M - M*) X||_F^2 as of the excess risk, with M the linear read-out at the mean of "
        "the parameters at the starts of the epochs k = 1, ..., K with k > K/2"
    ),
    source="Rakhlin, Shamir & Sridharan 2012; of shuffled orders, Cha, Lee & Yun 2023",
    log=True,
    compute=compute,
    default=False,
    needs=READOUT,
)
