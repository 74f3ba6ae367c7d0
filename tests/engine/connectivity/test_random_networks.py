"""Symmetries of networks put together at random: whatever is found must leave the outputs as they are."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from engine.connectivity import check_invariance, symmetry


class Random(nn.Module):
    """Some operations one after the other, on [examples, 6 positions, units]."""

    def __init__(self, seed):
        super().__init__()
        generator, widths = np.random.default_rng(seed), [8]
        self.layers, self.steps = nn.ModuleList(), []
        for _ in range(int(generator.integers(3, 9))):
            width, name = widths[-1], str(generator.choice(sorted(STEPS)))
            if len(widths) == 1 or width > 16 or width < 4 or (name in HALVES and width % 2):
                name = "linear"
            # An earlier step of the same width, this one where there is no other.
            other = int(generator.choice([at for at, one in enumerate(widths) if one == width])) - 1
            layer = LAYERS.get(name, nn.Identity)(width)
            self.layers.append(layer)
            self.steps.append((name, other))
            wider = 2 if name in ("concatenate", "repeat", "stack") else 1
            narrower = 2 if name in ("gate", "mean of halves") else 1
            widths.append(6 if name == "linear" else width * wider // narrower)
        self.flat = bool(generator.integers(2))
        self.head = nn.Linear(widths[-1] * (6 if self.flat else 1), 3)

    def forward(self, x):
        earlier = []
        for (name, other), layer in zip(self.steps, self.layers, strict=True):
            x = STEPS[name](x, layer, earlier[other] if other >= 0 else x)
            earlier.append(x)
        return self.head(x.flatten(1) if self.flat else x)


def attention(x, layer, other):
    halves = [one.unflatten(-1, (2, -1)).transpose(1, 2) for one in layer(x).split(x.shape[-1], -1)]
    return x + functional.scaled_dot_product_attention(*halves).transpose(1, 2).flatten(2)


def fused_attention(x, layer, other):
    query, key, value = layer(x).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4).unbind(0)
    return x + functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def gate(x, layer, other):
    first, second = x.chunk(2, -1)
    return first * torch.sigmoid(second)


STEPS = {
    "linear": lambda x, layer, other: layer(x),
    "tanh": lambda x, layer, other: torch.tanh(x),
    "layer norm": lambda x, layer, other: layer(x),
    "group norm": lambda x, layer, other: layer(x.transpose(1, 2)).transpose(1, 2),
    "map of halves": lambda x, layer, other: torch.relu(layer(x.unflatten(-1, (2, -1)))).flatten(2),
    "map of positions": lambda x, layer, other: torch.tanh(layer(x.transpose(1, 2)).transpose(1, 2)),
    "attention": attention,
    "fused attention": fused_attention,
    "gate": gate,
    "mean of halves": lambda x, layer, other: x.unflatten(-1, (2, -1)).mean(2),
    "concatenate": lambda x, layer, other: torch.cat([x, other], -1),
    "add": lambda x, layer, other: x + other,
    "repeat": lambda x, layer, other: torch.tanh(x.repeat(1, 1, 2)),
    "stack": lambda x, layer, other: torch.stack([x, torch.relu(x)], 2).flatten(2),
    "interleave": lambda x, layer, other: x.unflatten(-1, (2, -1)).transpose(2, 3).flatten(2),
    "cumulate": lambda x, layer, other: x + x.cumsum(1),
}
HALVES = {
    "group norm",
    "map of halves",
    "attention",
    "fused attention",
    "gate",
    "mean of halves",
    "interleave",
}
LAYERS = {
    "linear": lambda width: nn.Linear(width, 6),
    "layer norm": nn.LayerNorm,
    "group norm": lambda width: nn.GroupNorm(2, width),
    "map of halves": lambda width: nn.Linear(width // 2, width // 2),
    "map of positions": lambda width: nn.Linear(6, 6),
    "attention": lambda width: nn.Linear(width, 3 * width),
    "fused attention": lambda width: nn.Linear(width, 3 * width),
}


@pytest.mark.slow
def test_what_is_found_leaves_the_outputs_of_random_networks():
    torch.manual_seed(0)
    example, groups = torch.randn(3, 6, 8), 0
    for seed in range(12):
        torch.manual_seed(seed)
        model = Random(seed)
        found = symmetry(model, example)
        groups += len(found.groups)
        assert check_invariance(model, example, found, seed) < 1e-11, (seed, model.steps)
    assert groups > 20
