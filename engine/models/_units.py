"""The units of one layer, and the parameters around them."""

from typing import NamedTuple


class Units(NamedTuple):
    """Where the units behind one nonlinearity get their inputs, and where their outputs go.

    The units are axis 1 of what the nonlinearity returns; in images, the axes after it are positions.

    Attributes:
        activation: name of the nonlinearity's module.
        incoming: names of the parameters whose first axis are these units: weight, bias, normalization.
        outgoing: names of the weights whose second axis are these units.
    """

    activation: str
    incoming: tuple[str, ...]
    outgoing: tuple[str, ...]
