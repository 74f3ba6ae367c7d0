"""The replicas of one architecture and batch schedule, advanced together."""

from collections.abc import Mapping, Set
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engine.models import build
from engine.schedules import schedule
from engine.studies import Arm, Study
from engine.training.balancing import Balance
from engine.training.device_data import DeviceData
from engine.training.ensemble import Ensemble, StepResult
from engine.training.fixed_features import FixedFeatures
from engine.training.graphed import GraphedStep
from engine.training.measured import measured, measured_at
from engine.training.optimizers import StackedOptimizer
from engine.training.orderings import Order, ordering
from engine.training.record import Divergence, Kept, Replica, Rows, StackState
from engine.training.recycling import recycle_dormant
from engine.training.siblings import Siblings
from engine.training.snapshot import Known, Snapshot
from engine.training.tail import ASKING, TailAverage
from engine.training.twin import Twin


class Advance(NamedTuple):
    """What came of training up to a step.

    Attributes:
        losses: batch losses of the steps before it.
        diverged: who was frozen on the way.
        kept: weights to keep.
        snapshot: what is to be measured at the step; None where nobody is left.
    """

    losses: list[Rows]
    diverged: list[Divergence]
    kept: list[Kept]
    snapshot: Snapshot | None


class Stack:
    """Replicas that share an architecture, a data set and all settings of training but their ordering.

    Args:
        study: what is trained; only the arms of its members matter.
        members: the replicas, by their index in the training.
        data: the split of these arms.
        number: which stack of the training this is.
        compiled: whether torch compiles its step.
    """

    def __init__(
        self,
        study: Study,
        members: Mapping[int, Replica],
        data: DeviceData,
        number: int = 0,
        compiled: bool = False,
    ) -> None:
        self.step, self.number, self.members = 0, number, len(members)
        self.indices = np.array(list(members))
        self._arms = [study.arm(replica.arm) for replica in members.values()]
        self._seeds = [replica.seed for replica in members.values()]
        self.study = study.of(self._arms[0].name)
        self._data = data
        self._rows, self._visited = len(data.train[0]), visited(study, self._arms[0])
        self.steps, self._batch = self.study.steps, self.study.batch
        self._step_size = schedule(
            self.study.schedule,
            self.study.schedule_settings,
            self.study.lr,
            self.study.warmup_steps,
            self.steps,
            self.study.epochs,
        )
        self._batches = -(-self._visited // self._batch)
        self._device, dtype = data.train[0].device, _precision(self.study)
        # A look at the losses waits for the device, which on a CPU costs nothing.
        self._look_every = 1 if self._device.type == "cpu" else self.study.evaluate_every
        shape, settings = self.study.shape, self.study.model_settings
        self._build = lambda: build(study.model, shape, settings)
        self.ensemble = Ensemble(
            self._build,
            self._families,
            self._device,
            dtype,
            shape.task,
            autocast=self.study.dtype == "bfloat16",
            consistency=self.study.consistency,
            compiled=compiled,
        )
        self._task = shape.task
        self._initial = {name: value.clone() for name, value in self.ensemble.parameters.items()}
        self._optimizer = StackedOptimizer(self.ensemble.parameters, self.study)
        asked = measured(self.study)
        self._twin = Twin(self.ensemble, self.study, self._families) if "lyapunov" in asked else None
        rounds = -(-self.steps // self._batches)  # more than epochs where a round is a subset
        self._tail = TailAverage(rounds) if ASKING & asked else None
        self._fixed = FixedFeatures.of(self.ensemble, self.study, data, self._seeds)
        self._epoch, self._siblings = -1, self._begin_siblings()
        self._orders = torch.empty(0)
        self._graphed: dict[torch.Size, GraphedStep] = {}
        self._balanced: dict[str, tuple[Tensor, Balance]] = {}
        self._begin_balances()

    @property
    def _families(self) -> list[int]:
        """What weights are drawn by, where orders are drawn by the seed."""
        return [seed // self.study.children for seed in self._seeds]

    def advance(self, stop: int) -> "Advance":
        """Train up to a step; a replica whose loss is not finite, or too large, is frozen and reported."""
        losses: list[Rows] = []
        diverged: list[Divergence] = []
        kept: list[Kept] = []
        while self.step < stop and len(self.indices):
            count = min(self._look_every, stop - self.step)
            last = self.step + count == stop
            seen = [self.take(count - 1).losses] if last and count > 1 else []
            before = {name: value.clone() for name, value in self.ensemble.parameters.items()} if last else {}
            taken = self.take(1 if last else count)
            alive, rows, lost = self._look(torch.cat([*seen, taken.losses]).cpu().numpy(), stop)
            losses.append(rows)
            diverged += lost
            if lost:
                kept.append(self.weights(~alive))
                self.keep(alive)
            if last and alive.any():
                living = torch.from_numpy(alive).to(self._device)
                now = self.ensemble.parameters
                snapshot = self.snapshot(
                    {"batch_loss": taken.losses[-1][living].cpu().numpy()},
                    {name: value[living] for name, value in taken.gradients.items()},
                    {name: now[name] - value[living] for name, value in before.items()},
                )
                if stop in self.study.checkpoints or stop == self.steps:
                    kept.append(self.weights(np.ones(len(self.indices), bool)))
                return Advance(losses, diverged, kept, snapshot)
        return Advance(losses, diverged, kept, None)

    def take(self, count: int) -> StepResult:
        """Take optimizer steps; return their losses [steps, seeds] and the gradients of the last."""
        losses = []
        for _ in range(count):
            where = self._enter(self.step)
            if self._tail is not None and self.step % self._batches == 0:
                self._tail.see(self.step // self._batches, self.ensemble.parameters)
            result = self._step(self._orders[:, where], self._step_size(self.step))
            self.step += 1
            if self.study.redo_every and self.step % self.study.redo_every == 0:
                recycle_dormant(
                    self.ensemble,
                    self._optimizer,
                    self._data.train[0],
                    self.study.redo_threshold,
                    self._build,
                    [(family, self.step) for family in self._families],
                )
            if self._siblings.any:
                self._siblings.tie([self.ensemble.parameters, *self._optimizer.moments])
            losses.append(result.losses)
        return StepResult(torch.stack(losses), result.gradients)

    def _step(self, batch: Int[Tensor, "seeds batch"], lr: float) -> StepResult:
        """Take one optimizer step on these examples."""
        if self._device.type == "cuda" and not self._balanced and self._twin is None:
            if batch.shape not in self._graphed:
                self._graphed[batch.shape] = GraphedStep(
                    self.ensemble, self._optimizer, self._data.train, batch
                )
            self._optimizer.set_step_size(lr)
            return self._graphed[batch.shape].take(batch)
        inputs, targets = (part[batch] for part in self._data.train)
        result = self.ensemble.gradients(inputs, targets)
        for which, balance in self._balanced.values():
            balance.see(self.ensemble.example_gradients(which, inputs[which], targets[which]))
        self._optimizer.step(result.gradients, lr)
        if self._twin is not None:
            moments = self._optimizer.moments
            self._twin.step(inputs, targets, lr, self.ensemble.parameters, moments)
        return result

    def _look(
        self, seen: Float[np.ndarray, "steps seeds"], stop: int
    ) -> tuple[Bool[np.ndarray, " seeds"], Rows, list[Divergence]]:
        """Return who is alive after these losses, the rows they make, and who diverged.

        A replica's rows end with its first loss that is not finite or above the study's bound; at `stop` the
        living get theirs together with the other metrics.
        """
        lost = ~np.isfinite(seen)
        if self.study.loss_bound is not None:
            lost |= seen > self.study.loss_bound
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
        epochs, batch = np.divmod(steps, self._batches)
        seen: Float[np.ndarray, " rows"] = epochs * self._visited + batch * self._batch
        return seen / self._rows

    def _enter(self, step: int) -> slice:
        """Draw the orders of the step's epoch where they are new; return where its batch lies in them."""
        epoch, batch = divmod(step, self._batches)
        if epoch != self._epoch:
            orders = self._drawn(epoch)
            for past in range(self._epoch + 1, epoch) if self._siblings.any else ():
                self._siblings.visit(self._drawn(past))
            self._siblings.visit(orders)
            self._orders = torch.from_numpy(np.stack(orders)).to(self._device, non_blocking=True)
            for which, balance in self._balanced.values():
                self._orders[which] = balance.order
            self._epoch = epoch
        return slice(batch * self._batch, (batch + 1) * self._batch)

    def _drawn(self, epoch: int) -> list[Order]:
        """Return each replica's order of an epoch; of balanced ones that of the first."""
        pairs = zip(self._arms, self._seeds, strict=True)
        return [_order(arm, self._rows, seed, epoch) for arm, seed in pairs]

    def _begin_siblings(self) -> Siblings:
        """Return who begins as whom, before any order is drawn."""
        shared = self.study.children > 1
        pairs = zip(self._arms, self._families, strict=True)
        families = [(arm.name, family) for arm, family in pairs] if shared else []
        return Siblings(families, self._device)

    def _begin_balances(self) -> None:
        """Set up the orderings that gradients make, each for the replicas that have it."""
        rules = np.array([ordering(arm.ordering).balance or "" for arm in self._arms])
        for rule in ("mean", "pair"):
            which = np.flatnonzero(rules == rule)
            if which.size:
                first = [_order(self._arms[one], self._rows, self._seeds[one], 0) for one in which]
                order = torch.from_numpy(np.stack(first)).to(self._device)
                self._balanced[rule] = torch.from_numpy(which).to(self._device), Balance(rule, order)

    def snapshot(
        self,
        columns: dict[str, np.ndarray] | None = None,
        gradients: dict[str, Tensor] | None = None,
        updates: dict[str, Tensor] | None = None,
        wanted: Set[str] | None = None,
    ) -> Snapshot:
        """Return the replicas as they are now, with what is known of the step that led here.

        Args:
            columns: what was measured already.
            gradients: of that step.
            updates: of that step.
            wanted: metrics to measure; None for those that are due.
        """
        self._enter(self.step)
        steps = np.full(len(self.indices), self.step)
        wanted = measured_at(self.study, self.step, self.steps) if wanted is None else wanted
        growth = None
        if self._twin is not None and "lyapunov" in wanted:
            growth = self._twin.growth()
        known = Known(gradients, updates, growth)
        if self._tail is not None:
            known = known._replace(tail=self._tail.mean())
        ensemble = self.ensemble.snapshot()
        if self._fixed is not None:
            known = known._replace(**self._fixed.known(ensemble.parameters, known.tail))
        return Snapshot(
            self._task,
            ensemble,
            self._initial,
            self._data,
            self._orders,
            self._batch,
            Rows(self.indices, steps, self._epochs(steps), columns or {}),
            wanted,
            self.study.per_layer,
            known,
        )

    def rehearse(self) -> Rows:
        """Take a step and measure everything that the study ever measures."""
        before = {name: value.clone() for name, value in self.ensemble.parameters.items()}
        if self._tail is not None:
            self._tail.see(self.steps, before)  # as at the end, when it has begun
        gradients, now = self.take(1).gradients, self.ensemble.parameters
        updates = {name: now[name] - value for name, value in before.items()}
        return self.snapshot({}, gradients, updates, measured(self.study)).measure()

    def keep(self, alive: Bool[np.ndarray, " seeds"]) -> None:
        """Go on without the replicas that are not alive."""
        chosen = torch.from_numpy(alive).to(self._device)
        self._graphed.clear()
        self.ensemble.keep(chosen)
        self._optimizer.keep(chosen, self.ensemble.parameters)
        self._initial = {name: value[chosen] for name, value in self._initial.items()}
        if self._twin is not None:
            self._twin.keep(chosen)
        if self._tail is not None:
            self._tail.keep(chosen)
        if self._fixed is not None:
            self._fixed.keep(chosen)
        if self.study.children > 1:
            self._siblings.keep(alive)
        self.indices = self.indices[alive]
        self._arms = [arm for arm, stays in zip(self._arms, alive, strict=True) if stays]
        self._seeds = [seed for seed, stays in zip(self._seeds, alive, strict=True) if stays]
        if self._epoch >= 0:
            self._orders = self._orders[chosen]
        places = torch.cumsum(chosen, 0) - 1
        for rule, (which, balance) in list(self._balanced.items()):
            stays = chosen[which]
            balance.keep(stays)
            self._balanced[rule] = places[which[stays]], balance
            if not stays.any():
                del self._balanced[rule]

    def weights(self, chosen: Bool[np.ndarray, " seeds"]) -> Kept:
        """Return the weights of some replicas as they are now."""
        which = torch.from_numpy(chosen).to(self._device)
        parameters = self.ensemble.parameters.items()
        return Kept(
            self.step, self.indices[chosen], {name: value[which].cpu().numpy() for name, value in parameters}
        )

    def state(self) -> StackState:
        """Return all that is needed to go on from here to the same bits."""
        tensors = {f"parameters/{name}": value for name, value in self.ensemble.parameters.items()}
        for part, state in self._parts().items():
            for name, value in state.items():
                shared = name.startswith("shared/")
                tensors[f"shared/{part}/{name[7:]}" if shared else f"{part}/{name}"] = value
        host = {name: value.detach().cpu().numpy().copy() for name, value in tensors.items()}
        return StackState(self.number, self.step, self.indices.copy(), host)

    def _parts(self) -> dict[str, dict[str, Tensor]]:
        parts = {"optimizer": self._optimizer.state()}
        if self._twin is not None:
            parts["twin"] = self._twin.state()
        if self._tail is not None:
            parts["tail"] = self._tail.state()
        return parts | {rule: balance.state() for rule, (_, balance) in self._balanced.items()}

    def restore(self, state: StackState) -> None:
        """Go on from a state of this stack, without the replicas that had left it.

        Raises:
            ValueError: the state is not one of this stack.
        """
        living = np.isin(self.indices, state.replicas)
        if not np.array_equal(self.indices[living], state.replicas):
            raise ValueError(f"`state` must be of replicas {self.indices}; got {state.replicas}.")
        self.keep(living)  # with it, recordings of the replaced tensors are gone
        tensors = {name: torch.tensor(value, device=self._device) for name, value in state.tensors.items()}

        def part(name: str) -> dict[str, Tensor]:
            own = {
                key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}/")
            }
            start = f"shared/{name}/"
            together = {key: value for key, value in tensors.items() if key.startswith(start)}
            return own | {f"shared/{key[len(start) :]}": value for key, value in together.items()}

        for name, value in self.ensemble.parameters.items():
            value.copy_(tensors[f"parameters/{name}"])
        self._optimizer.restore(part("optimizer"))
        if self._twin is not None:
            self._twin.restore(part("twin"))
        if self._tail is not None:
            self._tail.restore(part("tail"))
        for rule, (_, balance) in self._balanced.items():
            balance.restore(part(rule))
        self.step = state.step
        self._epoch, self._siblings = -1, self._begin_siblings()


def _precision(study: Study) -> torch.dtype:
    return torch.float64 if study.dtype == "float64" else torch.float32


def _order(arm: Arm, rows: int, seed: int, epoch: int) -> Order:
    return ordering(arm.ordering).order(rows, seed, epoch, **arm.ordering_settings)


def order(study: Study, arm: Arm, seed: int, epoch: int) -> Order:
    """Return the training rows that a seed of an arm visits in an epoch, in order.

    Of an ordering that gradients make this is the first epoch's order, whatever the epoch.
    """
    return _order(arm, study.of(arm.name).shape.train_rows, seed, epoch)


def visited(study: Study, arm: Arm) -> int:
    """Return how many examples an arm visits in an epoch."""
    return len(order(study, arm, 0, 0))
