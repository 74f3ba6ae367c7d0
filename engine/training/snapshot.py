"""The replicas of a stack at one step, held still so that they can be measured while training goes on."""

from collections.abc import Mapping, Set
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engine.metrics import Optima, State, Weights, metrics
from engine.tasks import Task
from engine.training.device_data import DeviceData
from engine.training.ensemble import Ensemble, Stacked
from engine.training.record import Rows


class Known(NamedTuple):
    """What is known of a step besides the weights that it led to.

    Attributes:
        gradients: gradient of the step just taken; None before the first.
        updates: change of the parameters by that step; None before the first.
        twin_growth: mean log growth per step of the distance to a twin, where one runs along.
        tail: tail average of the parameters, where one is kept and has begun.
        optima: of a linear read-out on fixed features, where they are asked for.
        matrix: that read-out.
        tail_matrix: the same at the tail average, where there is one.
        features: the full batch's features for it.
    """

    gradients: Stacked | None = None
    updates: Stacked | None = None
    twin_growth: Float[Tensor, " seeds"] | None = None
    tail: Stacked | None = None
    optima: Optima | None = None
    matrix: Float[Tensor, "seeds outputs features"] | None = None
    tail_matrix: Float[Tensor, "seeds outputs features"] | None = None
    features: Float[Tensor, "examples features"] | None = None


class Snapshot(NamedTuple):
    """What a measurement needs.

    Attributes:
        task: what the targets are.
        ensemble: a copy at the weights of the step.
        initial: the parameters before the first step.
        data: the split.
        orders: the examples of the epoch under way, in the order of each replica.
        batch_size: examples a batch.
        rows: the replicas and the step, with what was measured already.
        wanted: names of the metrics to measure.
        per_layer: whether layers are measured by themselves too.
        known: what the stack knows of the step.
    """

    task: Task
    ensemble: Ensemble
    initial: Stacked
    data: DeviceData
    orders: Int[Tensor, "seeds visited"]
    batch_size: int
    rows: Rows
    wanted: Set[str]
    per_layer: bool
    known: Known

    def measure(self) -> Rows:
        """Return the rows with the wanted metrics."""
        state = State(
            task=self.task,
            weights=Weights(self.ensemble.parameters),
            parameters=self.ensemble.parameters,
            initial=self.initial,
            forward=self.ensemble.forward,
            own_losses=self._own_losses,
            outputs=self.ensemble.outputs,
            hidden=self.ensemble.hidden,
            train=self.data.train,
            test=self.data.test,
            **self.known._asdict(),
        )
        values: dict[str, Tensor] = {}
        for name, metric in metrics().items():
            if name not in self.wanted:
                continue
            value = metric.compute(state)
            if value is not None:
                values[name] = value
            if self.per_layer and metric.layers is not None:
                by_layer: Mapping[str, Tensor] = metric.layers(state) or {}
                values |= {f"{layer}/{name}": one for layer, one in by_layer.items()}
        columns = {name: value.cpu().numpy() for name, value in values.items()}
        return self.rows._replace(columns={**self.rows.columns, **columns})

    def _own_losses(self) -> Float[Tensor, " seeds"]:
        """Return each replica's mean loss over the batches of its epoch, every example weighing the same."""
        inputs, targets = self.data.train
        replicas, visited = self.orders.shape
        whole = visited - visited % self.batch_size
        total = torch.zeros(replicas, device=inputs.device)
        for part, length in (
            (self.orders[:, :whole], self.batch_size),
            (self.orders[:, whole:], visited - whole),
        ):
            if part.shape[1]:
                batches = part.reshape(replicas, -1, length)
                losses = self.ensemble.batch_losses(inputs, targets, batches)
                total = total.to(losses.dtype) + losses.sum(1) * length
        return total / visited
