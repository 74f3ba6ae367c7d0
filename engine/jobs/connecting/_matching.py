"""Matching as a connection asks for it, with what it refuses put into words."""

from torch import Tensor

from data.errors import LabError
from engine.connectivity import Matching, match
from engine.jobs.connect_request import ConnectRequest
from engine.jobs.networks import Networks, State

NAIVE = "naive"
"""The networks as they are."""


def matched(
    networks: Networks, a: State, b: State, method: str, wanted: ConnectRequest, null_pairs: int = 0
) -> Matching:
    """Return the second network in the order of the first.

    Raises:
        LabError: networks that cannot be matched.
    """
    X, y = networks.calibration
    known: dict[str, Tensor | tuple[Tensor, Tensor]] = {"activations": X, "ste": (X, y)}
    try:
        return match(
            networks.model, a, b, networks.example, method, known.get(method), wanted.restarts, wanted.seed,
            null_pairs=null_pairs,
        )  # fmt: skip
    except ValueError as error:
        raise LabError(
            "The networks cannot be matched", str(error), "Choose other networks, or another method."
        ) from error
