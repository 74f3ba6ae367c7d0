"""The rules that settings of several models share."""

import math
from collections.abc import Collection

from torch import nn

from engine.datasets import Shape
from engine.models._batch_norm import BatchNorm
from engine.models._layer_norm import ImageLayerNorm, LayerNorm

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
NORMS = ("batch", "layer", "none")


def one_of(name: str, value: object, choices: Collection[object]) -> None:
    """Check a setting that takes one of a few values.

    Raises:
        ValueError: it has another value.
    """
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {', '.join(map(str, choices))}; got {value!r}.")


def at_least(least: int, **settings: int) -> None:
    """Check settings that count something.

    Raises:
        ValueError: one of them is not a whole number, or below the least.
    """
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ValueError(f"`{name}` must be a whole number of at least {least}; got {value!r}.")


def positive(**settings: float) -> None:
    """Check settings that scale something.

    Raises:
        ValueError: one of them is not a finite number above 0.
    """
    for name, value in settings.items():
        if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` must be a finite number above 0; got {value!r}.")


def flat_inputs(shape: Shape) -> int:
    """Return how many numbers an example has.

    Raises:
        ValueError: its inputs are tokens.
    """
    if shape.tokens is not None:
        raise ValueError(f"`inputs` must be measurements, not tokens; got a vocabulary of {shape.tokens}.")
    return math.prod(shape.inputs)


def image_inputs(shape: Shape) -> tuple[int, int, int]:
    """Return channels, height and width of an example.

    Raises:
        ValueError: its inputs are not images.
    """
    if shape.tokens is not None or len(shape.inputs) != 3:
        raise ValueError(f"`inputs` must be images (channels, height, width); got {shape.inputs}.")
    channels, height, width = shape.inputs
    return channels, height, width


def normalization(norm: str, features: int, images: bool = False) -> nn.Module:
    """Return the normalization of one layer; ``layer`` sees one example at a time, an image as a whole.

    Args:
        norm: ``batch``, ``layer`` or ``none``.
        features: columns, or channels of images.
        images: whether its inputs are images.

    Raises:
        ValueError: another `norm`.
    """
    one_of("norm", norm, NORMS)
    if norm == "batch":
        return BatchNorm(features)
    if norm == "none":
        return nn.Identity()
    return ImageLayerNorm(features) if images else LayerNorm(features)
