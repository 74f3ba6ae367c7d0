"""Optimizers on stacked parameters."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from engine.studies import Study
from engine.training.ensemble import Stacked

_SLOTS = ("momentum_buffer", "exp_avg", "exp_avg_sq")


class StackedOptimizer:
    """torch's own optimizer: its update is elementwise, so that stacked parameters update as if alone.

    Args:
        parameters: the stacked parameters; updated in place.
        study: of one arm; says which optimizer, with which settings.
    """

    def __init__(self, parameters: Stacked, study: Study) -> None:
        self._study, self._parameters = study, parameters
        device = next(iter(parameters.values())).device
        # On a GPU the step size is read from a tensor, so that a captured step need not be captured anew.
        self._lr: float | Tensor = (
            torch.tensor(study.lr, device=device) if device.type == "cuda" else study.lr
        )
        self._optimizer = self._make()

    def _make(self) -> torch.optim.Optimizer:
        study, values = self._study, list(self._parameters.values())
        shared: dict[str, Any] = {"lr": self._lr, "weight_decay": study.weight_decay, "fused": True}
        if study.optimizer == "sgd":
            return torch.optim.SGD(values, momentum=study.momentum, nesterov=study.nesterov, **shared)
        if isinstance(self._lr, Tensor):
            shared["capturable"] = True
        kind = torch.optim.Adam if study.optimizer == "adam" else torch.optim.AdamW
        return kind(values, betas=(study.beta1, study.beta2), **shared)

    def step(self, gradients: Stacked, lr: float) -> None:
        """Move the parameters one step down the gradients."""
        self.set_step_size(lr)
        self.apply(self.limit(gradients))

    def limit(self, gradients: Stacked) -> Stacked:
        """Return the gradients, those of a replica that are longer than the study's `clip_norm` shortened."""
        return clipped(gradients, self._study.clip_norm) if self._study.clip_norm else gradients

    def set_step_size(self, lr: float) -> None:
        """Let the next steps have this size."""
        if isinstance(self._lr, Tensor):
            self._lr.fill_(lr)
        else:
            self._optimizer.param_groups[0]["lr"] = lr

    def apply(self, gradients: Stacked) -> None:
        """Move the parameters by these gradients and the present step size."""
        for name, value in self._parameters.items():
            value.grad = gradients[name]
        self._optimizer.step()

    @property
    def moments(self) -> list[Stacked]:
        """The running moments of the gradients, each stacked like the parameters; none before a step."""
        state = self._optimizer.state
        found = [
            {name: state[value][slot] for name, value in self._parameters.items() if slot in state[value]}
            for slot in _SLOTS
        ]
        return [moment for moment in found if moment and all(value is not None for value in moment.values())]

    def state(self) -> Stacked:
        """Return what goes on from step to step, by name; see ``StackState.tensors``."""
        tensors = {}
        for name, value in self._parameters.items():
            for slot, kept in self._optimizer.state.get(value, {}).items():
                if slot == "step":
                    tensors["shared/optimizer_step"] = kept
                elif kept is not None:
                    tensors[f"{slot}/{name}"] = kept
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        self._optimizer = self._make()
        for name, value in self._parameters.items():
            kept = {slot: tensors[f"{slot}/{name}"] for slot in _SLOTS if f"{slot}/{name}" in tensors}
            if kept and "shared/optimizer_step" in tensors:
                kept["step"] = tensors["shared/optimizer_step"].clone()
            if kept:
                self._optimizer.state[value] = kept

    def rewind(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back, in place, to what :meth:`state` returned before any step or after one.

        Moments that begin at zero and those that begin with the first gradient are the same.
        """
        for name, value in self._parameters.items():
            for slot, kept in self._optimizer.state.get(value, {}).items():
                if kept is not None:
                    before = tensors.get("shared/optimizer_step" if slot == "step" else f"{slot}/{name}")
                    kept.zero_() if before is None else kept.copy_(before)

    def keep(self, alive: Bool[Tensor, " seeds"], parameters: Stacked) -> None:
        """Go on with the alive replicas, whose parameters are passed; their moments are kept."""
        state = {
            name: value if name.startswith("shared/") else value[alive]
            for name, value in self.state().items()
        }
        self._parameters = parameters
        self.restore(state)


def clipped(gradients: Stacked, longest: float) -> Stacked:
    """Return the gradients, those of a replica shortened whose norm over all parameters is above `longest`.

    Source:
        Pascanu, Mikolov & Bengio 2013, algorithm 1, each replica for itself.
    """
    squares = torch.stack([value.flatten(1).square().sum(1) for value in gradients.values()]).sum(0)
    factor = (longest / squares.sqrt()).clamp(max=1.0)
    return {name: value * factor.view(-1, *[1] * (value.ndim - 1)) for name, value in gradients.items()}
