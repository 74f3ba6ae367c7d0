"""Excess risk of every replica's linear read-out."""

from jaxtyping import Float
from torch import Tensor

from engine.metrics._metric import Metric, State
from engine.metrics._optimum_distance import READOUT


def excess(
    matrix: Float[Tensor, "seeds outputs features"] | None, state: State
) -> Float[Tensor, " seeds"] | None:
    """Return the full-batch risk of read-outs above its least value; None without fixed features."""
    if matrix is None or state.optima is None or state.features is None:
        return None
    apart = (matrix.double() - state.optima.full.double()) @ state.features.double().mT
    return apart.square().sum(1).mean(1)


def compute(state: State) -> Float[Tensor, " seeds"] | None:
    """Return the excess of every replica as it is."""
    return excess(state.matrix, state)


METRIC = Metric(
    label="Excess risk",
    unit="",
    # A difference of two risks would lose every digit below 1e-16 of the risk itself.
    formula=(
        "F - F* = (1/n) ||(M - M*) X||_F^2 with M the linear read-out, X all training rows normalized "
        "as one batch and M* their least-squares optimum"
    ),
    source="Wu, Yun & Sra 2023, section 3.1",
    log=True,
    compute=compute,
    default=False,
    needs=READOUT,
)
