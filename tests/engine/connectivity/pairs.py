"""Pairs of networks in float64 for the tests of this folder, and examples for them."""

import numpy as np
import torch
from torch import nn

from engine.datasets import Shape
from engine.models import build

ROWS = Shape(100, (12,), 5, "classes")
IMAGES = Shape(100, (3, 9, 10), 5, "classes")
TOKENS = Shape(100, (3,), 7, "classes", 8)
SERIES = Shape(100, (6, 2), 3, "values")

CASES = {
    "linear-network": (ROWS, {"width": 7, "depth": 2, "normalize_inputs": True}),
    "linear-network, plain": (ROWS, {"width": 7, "depth": 2, "norm": "none"}),
    "mlp": (ROWS, {"width": 7, "depth": 3}),
    "mlp, batch": (ROWS, {"width": 7, "depth": 3, "norm": "batch", "activation": "tanh"}),
    "mlp, layer": (ROWS, {"width": 7, "depth": 3, "norm": "layer", "activation": "gelu"}),
    "residual-mlp": (ROWS, {"width": 7}),
    "residual-mlp, batch": (ROWS, {"width": 7, "norm": "batch"}),
    "cnn": (IMAGES, {"width": 3, "norm": "none"}),
    "cnn, batch": (IMAGES, {"width": 3}),
    "resnet": (IMAGES, {"depth": 8, "width_factor": 0.25, "norm": "none"}),
    "resnet, batch": (IMAGES, {"depth": 8, "width_factor": 0.25}),
    "resnet, layer": (IMAGES, {"depth": 8, "width_factor": 0.25, "norm": "layer"}),
    "transformer": (TOKENS, {"width": 8, "heads": 2, "hidden": 11, "norm": "layer"}),
}
RECURRENT = {
    "rnn": (SERIES, {"width": 7, "readout": "all"}),
    "gru": (SERIES, {"width": 7}),
}


def network(case: str, seed: int) -> nn.Module:
    """A model away from its initialization, where scales are 1 and shifts 0."""
    shape, settings = (CASES | RECURRENT)[case]
    torch.manual_seed(seed)
    model = build(case.partition(",")[0], shape, settings).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def pair(case: str) -> tuple[nn.Module, dict, dict]:
    """The architecture, with weights that must not matter, and two networks."""
    a, b = (
        {key: value.clone() for key, value in network(case, seed).state_dict().items()} for seed in (1, 2)
    )
    return network(case, 3), a, b


def data(case: str, examples: int = 40, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs whose means are not 0, and labels."""
    shape, settings = (CASES | RECURRENT)[case]
    generator = torch.Generator().manual_seed(seed)
    if shape.tokens is not None:
        X = torch.randint(0, shape.tokens, (examples, *shape.inputs), generator=generator)
    else:
        X = 0.5 + torch.randn(examples, *shape.inputs, dtype=torch.float64, generator=generator)
    if shape.task == "values":
        steps = shape.inputs[:1] if settings.get("readout") == "all" else ()
        target = (examples, *steps, shape.outputs)
        return X, torch.randn(target, dtype=torch.float64, generator=generator)
    return X, torch.randint(0, shape.outputs, (examples,), generator=generator)


def loaded(model: nn.Module, state: dict) -> nn.Module:
    """The model with other weights."""
    model.load_state_dict(state)
    return model


def as_numpy(state: dict) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in state.items()}
