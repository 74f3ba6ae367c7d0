"""A whole optimizer step as one CUDA graph, so that a step costs one launch and not hundreds."""

from threading import Lock

import torch
from jaxtyping import Int
from torch import Tensor

from engine.training.ensemble import Ensemble, StepResult
from engine.training.optimizers import StackedOptimizer

_WARM_UP = 3

ALONE = Lock()
"""Held while a step is recorded: a recording fails when another thread waits for the GPU meanwhile."""


class GraphedStep:
    """Gathers a batch, computes its gradient and updates the parameters, replayed from a recording.

    The recording holds on to the memory of the parameters and of the optimizer's state: it is of no use any
    more once either is replaced.

    Args:
        ensemble: the replicas; their parameters change in place.
        optimizer: theirs.
        data: inputs and targets of the training rows, on the GPU.
        batch: an example of what :meth:`take` will get.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        optimizer: StackedOptimizer,
        data: tuple[Tensor, Tensor],
        batch: Int[Tensor, "seeds batch"],
    ) -> None:
        self._batch = batch.clone()
        before = {name: value.clone() for name, value in ensemble.parameters.items()}
        moments = {name: value.clone() for name, value in optimizer.state().items()}

        def step() -> StepResult:
            inputs, targets = data
            result = ensemble.gradients(inputs[self._batch], targets[self._batch])
            optimizer.apply(optimizer.limit(result.gradients))
            return result

        with ALONE:
            # The first steps allocate; they are taken aside and undone.
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UP):
                    step()
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._result = step()
        with torch.no_grad():
            for name, value in ensemble.parameters.items():
                value.copy_(before[name])
            optimizer.rewind(moments)

    def take(self, batch: Int[Tensor, "seeds batch"]) -> StepResult:
        """Take a step on these examples with the optimizer's present step size.

        The gradients are overwritten by the next step.
        """
        self._batch.copy_(batch)
        self._graph.replay()
        return StepResult(self._result.losses.clone(), self._result.gradients)
