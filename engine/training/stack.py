"""The replicas of one architecture and batch schedule, advanced together."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.datasets import Split, dataset
from engine.metrics import State, Weights, metrics
from engine.models import build
from engine.studies import Arm, Study
from engine.training.ensemble import Ensemble, StepResult
from engine.training.orderings import Order, ordering
from engine.training.record import Divergence, Replica, Rows
from engine.training.sgd import StackedSGD


class DeviceData(NamedTuple):
    """A split on the training device, inputs in the study's precision."""

    train: tuple[Float[Tensor, "examples *features"], Int[Tensor, " examples"]]
    test: tuple[Float[Tensor, "held_out *features"], Int[Tensor, " held_out"]]

    @classmethod
    def of(cls, split: Split, device: torch.device, dtype: torch.dtype) -> "DeviceData":
        """Place a split on a device."""

        def place(inputs: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
            return torch.from_numpy(inputs).to(device, dtype), torch.from_numpy(labels).to(device)

        return cls(place(split.train_inputs, split.train_labels), place(split.test_inputs, split.test_labels))


class Stack:
    """Replicas that share an architecture and the sizes of their batches.

    Args:
        study: what is trained.
        members: the replicas by the index under which they are reported.
        data: the split on the device.

    Attributes:
        step: optimizer steps taken.
        indices: the indices of the replicas that are still trained.
    """

    def __init__(self, study: Study, members: dict[int, Replica], data: DeviceData) -> None:
        self.step = 0
        self.indices = np.array(list(members))
        self._study, self._data = study, data
        self._arms: list[Arm] = [study.arm(replica.arm) for replica in members.values()]
        self._seeds = [replica.seed for replica in members.values()]
        self._visited = visited(study, self._arms[0])
        self._device, self._dtype = data.train[0].device, data.train[0].dtype
        # A look at the losses waits for the device, which on a CPU costs nothing.
        self._look_every = 1 if self._device.type == "cpu" else study.evaluate_every
        settings = study.model_of(self._arms[0].name)
        description = dataset(study.dataset)
        self._ensemble = Ensemble(
            lambda: build(study.model, description.features, description.classes, settings),
            self._seeds,
            self._device,
            self._dtype,
        )
        self._optimizer = StackedSGD(self._ensemble.parameters, study.lr, study.momentum, study.weight_decay)
        self._epoch = -1
        self._orders = torch.empty(0)

    def advance(self, stop: int) -> tuple[Rows, list[Divergence], "Snapshot | None"]:
        """Train up to a step; a replica whose loss is not finite is frozen and reported.

        Returns:
            The batch losses before `stop`, who diverged, and what is to be measured at `stop`: None
            where nobody is left.
        """
        losses: list[Rows] = []
        diverged: list[Divergence] = []
        while self.step < stop and len(self.indices):
            count = min(self._look_every, stop - self.step)
            last = self.step + count == stop
            seen = [self.take(count - 1).losses] if last and count > 1 else []
            before = (
                {name: value.clone() for name, value in self._ensemble.parameters.items()} if last else {}
            )
            taken = self.take(1 if last else count)
            alive, rows, lost = self._look(torch.cat([*seen, taken.losses]).cpu().numpy(), stop)
            losses.append(rows)
            diverged += lost
            if lost:
                self._keep(torch.from_numpy(alive).to(self._device))
            if last and alive.any():
                kept = torch.from_numpy(alive).to(self._device)
                now = self._ensemble.parameters
                snapshot = self.snapshot(
                    {"batch_loss": taken.losses[-1][kept].cpu().numpy()},
                    {name: value[kept] for name, value in taken.gradients.items()},
                    {name: now[name] - value[kept] for name, value in before.items()},
                )
                return _joined(losses), diverged, snapshot
        return _joined(losses), diverged, None

    def take(self, count: int) -> StepResult:
        """Take optimizer steps; return their losses [steps, seeds] and the gradients of the last."""
        losses = []
        for _ in range(count):
            where = self._enter(self.step)
            batch = self._orders[:, where]
            inputs, labels = self._data.train
            result = self._ensemble.gradients(inputs[batch], labels[batch])
            self._optimizer.step(result.gradients)
            losses.append(result.losses)
            self.step += 1
        return StepResult(torch.stack(losses), result.gradients)

    def _look(
        self, seen: Float[np.ndarray, "steps seeds"], stop: int
    ) -> tuple[Bool[np.ndarray, " seeds"], Rows, list[Divergence]]:
        """Return who is alive after these losses, the rows they make, and who diverged.

        A replica's rows end with its first loss that is not finite; at `stop` the living get theirs
        together with the other metrics.
        """
        lost = ~np.isfinite(seen)
        alive = ~lost.any(0)
        reported = np.where(alive, len(seen), lost.argmax(0) + 1)
        steps = np.arange(self.step - len(seen), self.step) + 1
        write = (np.arange(len(seen))[:, None] < reported) & ~(alive & (steps == stop)[:, None])
        at, which = np.nonzero(write)
        rows = Rows(self.indices[which], steps[at], self._epochs(steps)[at], {"batch_loss": seen[at, which]})
        diverged = [
            Divergence(
                int(self.indices[one]),
                int(steps[reported[one] - 1]),
                f"batch_loss is {seen[reported[one] - 1, one]}",
            )
            for one in np.flatnonzero(~alive)
        ]
        return alive, rows, diverged

    def _epochs(self, steps: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
        """Return the examples visited before each step, as a share of the training rows."""
        batches = -(-self._visited // self._study.batch_size)
        epochs, batch = np.divmod(steps, batches)
        seen: Float[np.ndarray, " rows"] = epochs * self._visited + batch * self._study.batch_size
        return seen / len(self._data.train[0])

    def _enter(self, step: int) -> slice:
        """Draw the orders of the step's epoch where they are new; return where its batch lies in them."""
        epoch, batch = divmod(step, -(-self._visited // self._study.batch_size))
        if epoch != self._epoch:
            orders = [
                order(self._study, arm, seed, epoch)
                for arm, seed in zip(self._arms, self._seeds, strict=True)
            ]
            self._orders = torch.from_numpy(np.stack(orders)).to(self._device)
            self._epoch = epoch
        return slice(batch * self._study.batch_size, (batch + 1) * self._study.batch_size)

    def snapshot(
        self,
        columns: dict[str, np.ndarray] | None = None,
        gradients: dict[str, Tensor] | None = None,
        updates: dict[str, Tensor] | None = None,
    ) -> "Snapshot":
        """Return the replicas as they are now, with what is known of the step that led here."""
        self._enter(self.step)
        steps = np.full(len(self.indices), self.step)
        rows = Rows(self.indices, steps, self._epochs(steps), columns or {})
        size = self._study.batch_size
        return Snapshot(self._ensemble.snapshot(), self._data, self._orders, size, rows, gradients, updates)

    def _keep(self, alive: Tensor) -> None:
        """Go on without the replicas that are not alive."""
        chosen = alive.cpu().numpy()
        self._ensemble.keep(alive)
        self._optimizer.keep(alive, self._ensemble.parameters)
        self.indices = self.indices[chosen]
        self._arms = [arm for arm, keep in zip(self._arms, chosen, strict=True) if keep]
        self._seeds = [seed for seed, keep in zip(self._seeds, chosen, strict=True) if keep]
        self._orders = self._orders[alive]


class Snapshot(NamedTuple):
    """The replicas at one step, held still so that they can be measured while training goes on.

    Attributes:
        ensemble: a copy at the weights of the step.
        data: the split.
        orders: the examples of the epoch under way, in the order of each replica.
        batch_size: examples a batch.
        rows: the replicas and the step, with what was measured already.
        gradients: gradient of the step just taken; None before the first.
        updates: change of the parameters by that step; None before the first.
    """

    ensemble: Ensemble
    data: DeviceData
    orders: Int[Tensor, "seeds visited"]
    batch_size: int
    rows: Rows
    gradients: dict[str, Tensor] | None
    updates: dict[str, Tensor] | None

    def measure(self) -> Rows:
        """Return the rows with every metric."""
        state = State(
            weights=Weights(self.ensemble.parameters),
            own_losses=self._own_losses,
            logits=self.ensemble.logits,
            train=self.data.train,
            test=self.data.test,
            gradients=self.gradients,
            updates=self.updates,
        )
        values = {name: metric.compute(state) for name, metric in metrics().items()}
        columns = {name: value.cpu().numpy() for name, value in values.items() if value is not None}
        return self.rows._replace(columns={**self.rows.columns, **columns})

    def _own_losses(self) -> Float[Tensor, " seeds"]:
        """Return each replica's mean loss over the batches of its epoch, every example weighing the same."""
        inputs, labels = self.data.train
        replicas, visited = self.orders.shape
        whole = visited - visited % self.batch_size
        total = torch.zeros(replicas, dtype=inputs.dtype, device=inputs.device)
        for part, length in (
            (self.orders[:, :whole], self.batch_size),
            (self.orders[:, whole:], visited - whole),
        ):
            if part.shape[1]:
                batches = part.reshape(replicas, -1, length)
                total += self.ensemble.batch_losses(inputs[batches], labels[batches]).sum(1) * length
        return total / visited


def _joined(parts: list[Rows]) -> Rows:
    """Return rows of the same columns as one."""
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    return Rows(
        np.concatenate([part.replicas for part in parts]),
        np.concatenate([part.steps for part in parts]),
        np.concatenate([part.epochs for part in parts]),
        columns,
    )


def order(study: Study, arm: Arm, seed: int, epoch: int) -> Order:
    """Return the training rows that a seed of an arm visits in an epoch, in order."""
    rows = dataset(study.dataset).train_rows
    return ordering(arm.ordering).order(rows, seed, epoch, **arm.ordering_settings)


def visited(study: Study, arm: Arm) -> int:
    """Return how many examples an arm visits in an epoch."""
    return len(order(study, arm, 0, 0))
