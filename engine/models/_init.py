"""Named distributions of the initial weights."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.models._settings import one_of, positive


class Scheme(NamedTuple):
    """How weights are drawn.

    Attributes:
        title: a few words, with the variance of a weight.
        source: who proposed it.
        draw: fills a weight matrix or a kernel, seen as out x (in * kernel); None where the model does it.
    """

    title: str
    source: str
    draw: Callable[[Tensor], Tensor] | None


SCHEMES: dict[str, Scheme] = {
    "default": Scheme(
        "as the model says; of ordinary layers uniform with variance 1 / (3 fan_in), biases too",
        "PyTorch, torch.nn.Linear.reset_parameters",
        None,
    ),
    "lecun-normal": Scheme(
        "normal, variance 1 / fan_in, which is also that of the NTK parametrization at the start",
        "LeCun et al. 1998, section 4.6; Jacot et al. 2018",
        partial(nn.init.kaiming_normal_, nonlinearity="linear"),
    ),
    "xavier-normal": Scheme(
        "normal, variance 2 / (fan_in + fan_out)",
        "Glorot & Bengio 2010, section 4.2",
        nn.init.xavier_normal_,
    ),
    "xavier-uniform": Scheme(
        "uniform, variance 2 / (fan_in + fan_out)",
        "Glorot & Bengio 2010, equation 16",
        nn.init.xavier_uniform_,
    ),
    "kaiming-normal": Scheme(
        "normal, variance 2 / fan_in",
        "He et al. 2015, equation 10",
        partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    ),
    "orthogonal": Scheme(
        "a uniformly drawn (semi-)orthogonal matrix",
        "Saxe et al. 2014, section 3",
        nn.init.orthogonal_,
    ),
}


@torch.no_grad()
def initialize(module: nn.Module, init: str, init_scale: float = 1.0) -> None:
    """Draw a module's weights anew, in the order of its parameters, from torch's global generator.

    Args:
        module: its weight matrices and kernels are drawn and its biases set to 0; ``default`` leaves both as
            they are. The scales of normalizations stay 1.
        init: a name of ``SCHEMES``.
        init_scale: multiplies weights and biases afterwards.

    Raises:
        ValueError: an unknown scheme, or a scale that is not positive.

    Source:
        ``init_scale``: Liu, Michaud & Tegmark 2023 (Omnigrok), section 2, where it is called alpha.
    """
    one_of("init", init, SCHEMES)
    positive(init_scale=init_scale)
    draw = SCHEMES[init].draw
    for name, parameter in module.named_parameters():
        if parameter.ndim < 2 and not name.endswith("bias"):
            continue
        if draw is not None:
            if parameter.ndim >= 2:
                draw(parameter)
            else:
                parameter.zero_()
        if init_scale != 1:
            parameter.mul_(init_scale)
