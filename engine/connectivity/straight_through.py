"""Permutations that are trained for a low loss half-way between two networks."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from engine.connectivity.blocks import as_arrays
from engine.connectivity.permutations import Permutations, permute
from engine.connectivity.symmetry import Symmetry
from engine.connectivity.weight_matching import WeightMatching

Loss = Callable[[Tensor, Tensor], Tensor]

LEARNING_RATE, MOMENTUM = 0.01, 0.9


def usual_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy in nats where targets are classes, else the mean squared error."""
    if targets.is_floating_point():
        return functional.mse_loss(outputs, targets.to(outputs.dtype).reshape(outputs.shape))
    return functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1))


class _Midpoint:
    """The network half-way between `a` and a permuted `b`, on some data."""

    def __init__(
        self,
        model: nn.Module,
        symmetry: Symmetry,
        a: dict[str, Tensor],
        data: tuple[Tensor, Tensor],
        loss: Loss,
    ) -> None:
        self._model, self._symmetry, self._a = copy.deepcopy(model).eval(), symmetry, a
        self._data, self._loss = data, loss
        for module in self._model.modules():
            if isinstance(module, _BatchNorm):  # the statistics of a mixture are not those of its ends
                module.train()

    def loss(self, b: dict[str, Tensor], examples: Tensor | slice) -> Tensor:
        """Return the mean loss on some examples; gradients reach `b`."""
        state = {
            name: (one + b[name]) / 2 if name in self._symmetry.parameters else one.clone()
            for name, one in self._a.items()
        }
        inputs, targets = (one[examples] for one in self._data)
        return self._loss(functional_call(self._model, state, (inputs,)), targets)

    @torch.no_grad()
    def value(self, b: dict[str, Tensor]) -> float:
        """Return the mean loss on all examples."""
        return float(self.loss(b, slice(None)))


def match_straight_through(
    model: nn.Module,
    symmetry: Symmetry,
    a: dict[str, Tensor],
    b: dict[str, Tensor],
    data: tuple[Tensor, Tensor],
    start: Permutations,
    seed: int,
    steps: int = 200,
    batch_size: int = 128,
    loss: Loss = usual_loss,
) -> Permutations:
    """Return the permutations of `b` with the lowest loss half-way to `a` that a training came upon.

    A network theta that starts at `a` chooses the permutation as the one that weight matching finds for it;
    the loss is that half-way between `a` and `b` so permuted, and its gradient is passed on to theta as if
    theta stood in the place of the permuted `b`.

    Args:
        model: the architecture.
        symmetry: of it.
        a: weights of the first network.
        b: those of the second.
        data: inputs and targets.
        start: permutations to begin with.
        seed: of batches and visits.
        steps: of stochastic gradient descent, learning rate 0.01, momentum 0.9.
        batch_size: examples of a step.
        loss: of outputs and targets, a mean.

    Source:
        Ainsworth et al. 2022, section 3.3 and algorithm 2; Bengio et al. 2013 (the estimator).
    """
    generator = np.random.default_rng(seed)
    midpoint = _Midpoint(model, symmetry, a, data, loss)
    matching = WeightMatching(symmetry, as_arrays(a), as_arrays(b))
    theta = {name: a[name].clone().requires_grad_() for name in symmetry.parameters}
    optimizer = torch.optim.SGD(theta.values(), LEARNING_RATE, MOMENTUM)
    permutations, permuted = start, permute(symmetry, start, b)
    best, lowest = start, midpoint.value(permuted)
    for _ in range(steps):
        examples = torch.from_numpy(generator.integers(0, len(data[0]), min(batch_size, len(data[0]))))
        passed = {name: permuted[name] + (one - one.detach()) for name, one in theta.items()}
        optimizer.zero_grad()
        midpoint.loss({**permuted, **passed}, examples).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        matching.towards(as_arrays({**a, **theta}))
        found, _ = matching.ascend(permutations, generator)
        if any(not np.array_equal(found[name], order) for name, order in permutations.items()):
            permutations, permuted = found, permute(symmetry, found, b)
            value = midpoint.value(permuted)
            if value < lowest:
                best, lowest = permutations, value
    return best
