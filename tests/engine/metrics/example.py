"""A small convolutional net of three replicas, written as one function of one replica's parameters."""

import dataclasses

import torch
from torch.nn import functional

from engine.metrics import Optima, State, Weights

SEEDS = 3
SHAPES = {
    "conv.weight": (5, 1, 2, 2),
    "hidden.weight": (6, 20),
    "hidden.bias": (6,),
    "norm.weight": (6,),
    "norm.bias": (6,),
    "square.weight": (6, 6),
    "out.weight": (3, 6),
    "out.bias": (3,),
}
LAYERS = ["conv", "hidden", "square", "out"]


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameters(seed=4):
    return {name: random(seed + place, SEEDS, *shape) for place, (name, shape) in enumerate(SHAPES.items())}


def one(stacked, seed):
    return {name: value[seed] for name, value in stacked.items()}


def watched(weights, inputs):
    """Return the outputs and what each nonlinearity returned, of one replica."""
    image = functional.conv2d(inputs, weights["conv.weight"]).relu()
    hidden = functional.linear(image.flatten(1), weights["hidden.weight"], weights["hidden.bias"]).relu()
    normal = hidden * weights["norm.weight"] + weights["norm.bias"]
    square = functional.linear(normal, weights["square.weight"]).tanh()
    seen = {"conv_relu": image, "hidden_relu": hidden, "square_tanh": square}
    return functional.linear(square, weights["out.weight"], weights["out.bias"]), seen


def forward(weights, inputs):
    return watched(weights, inputs)[0]


TRAIN = (random(1, 7, 1, 3, 3), torch.arange(7) % 3)
TEST = (random(2, 4, 1, 3, 3), torch.arange(4) % 3)
OWN = torch.tensor([0.5, 0.25, 0.125], dtype=torch.float64)


def state(stacked=None, **changes):
    """Return a state in which there is everything that a metric may need, but for the changes."""
    stacked = parameters() if stacked is None else stacked

    def hidden(inputs):
        each = [watched(one(stacked, seed), inputs)[1] for seed in range(SEEDS)]
        return {name: torch.stack([seen[name] for seen in each]) for name in each[0]}

    def outputs(inputs):
        return torch.stack([forward(one(stacked, seed), inputs) for seed in range(SEEDS)])

    made = State(
        task="classes",
        weights=Weights(stacked),
        parameters=stacked,
        initial=parameters(20),
        forward=forward,
        own_losses=lambda: OWN.clone(),
        outputs=outputs,
        hidden=hidden,
        train=TRAIN,
        test=TEST,
        gradients=parameters(40),
        updates=parameters(60),
        twin_growth=torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64),
        tail=parameters(80),
        # As of a linear read-out: a function of the parameters, so that it is not finite where they are not.
        matrix=stacked["out.weight"],
        tail_matrix=parameters(80)["out.weight"],
        features=random(100, 7, 6),
        optima=Optima(random(101, SEEDS, 3, 6), random(102, 3, 6), random(103, 3, 6)),
    )
    return dataclasses.replace(made, **changes)
