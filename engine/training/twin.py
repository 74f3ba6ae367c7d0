"""A twin next to every replica, whose growing distance measures how training amplifies a difference."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from engine.studies import Study
from engine.training.ensemble import Ensemble, Stacked
from engine.training.optimizers import StackedOptimizer

DISTANCE = 1e-8


class Twin:
    """Copies that begin at distance 1e-8 in a random direction and see the same batches.

    After each step the log growth of the distance is noted, and the twin's weights and moments are pulled
    back along their difference to a distance of 1e-8 of weights: over many steps a distance would grow out of
    the linear range, or shrink into the rounding.

    Args:
        ensemble: the replicas, in float64: in float32 the distance would drown in rounding.
        study: of one arm.
        seeds: of the replicas; the direction is a function of the seed.

    Source:
        Benettin et al. 1980; of training, Lorraine et al. 2021.
    """

    def __init__(self, ensemble: Ensemble, study: Study, seeds: Sequence[int]) -> None:
        directions = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            directions.append(
                {
                    name: torch.randn(value.shape[1:], generator=generator, dtype=value.dtype)
                    for name, value in ensemble.parameters.items()
                }
            )
        apart: Stacked = {
            name: torch.stack([one[name] for one in directions]).to(value.device)
            for name, value in ensemble.parameters.items()
        }
        scaled = _times(apart, DISTANCE / _norm(apart))
        self._ensemble = ensemble.at(
            {name: value + scaled[name] for name, value in ensemble.parameters.items()}
        )
        self._study = study
        self._optimizer = StackedOptimizer(self._ensemble.parameters, study)
        self._steps, self._grown = 0, torch.zeros_like(_norm(apart))

    def step(
        self,
        inputs: Num[Tensor, "seeds batch *ex"],
        targets: Num[Tensor, "seeds batch *t"],
        lr: float,
        parameters: Stacked,
        moments: Sequence[Stacked],
    ) -> None:
        """Take the step that the replicas took, and pull the twin back.

        Args:
            inputs: of the batches.
            targets: of the batches.
            lr: step size.
            parameters: of the replicas after it.
            moments: of the replicas' optimizer after it.
        """
        self._optimizer.step(self._ensemble.gradients(inputs, targets).gradients, lr)
        twins, own = self._ensemble.parameters, self._optimizer.moments
        distance = _norm({name: value - parameters[name] for name, value in twins.items()})
        self._grown += torch.log(distance / DISTANCE)
        self._steps += 1
        for values, pulled in ((twins, parameters), *zip(own, moments, strict=True)):
            apart = {name: value - pulled[name] for name, value in values.items()}
            for name, difference in _times(apart, DISTANCE / distance).items():
                values[name].copy_(pulled[name] + difference)
        for squares in own[1:]:  # Adam's second moment, of which a root is taken
            for value in squares.values():
                value.clamp_(min=0)

    def growth(self) -> Float[Tensor, " seeds"] | None:
        """Return the mean log growth of the distance per step since the last call; None before a step."""
        if not self._steps:
            return None
        growth = self._grown / self._steps
        self._steps, self._grown = 0, torch.zeros_like(growth)
        return growth

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Go on beside the alive replicas."""
        self._grown = self._grown[alive]
        self._ensemble.keep(alive)
        self._optimizer.keep(alive, self._ensemble.parameters)

    def state(self) -> Stacked:
        """Return what goes on from step to step."""
        return {
            "shared/steps": torch.tensor(self._steps),
            "grown": self._grown,
            **{f"parameters/{name}": value for name, value in self._ensemble.parameters.items()},
            **self._optimizer.state(),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        self._steps, self._grown = int(tensors["shared/steps"]), tensors["grown"].clone()
        self._ensemble.parameters = {
            name: tensors[f"parameters/{name}"].clone() for name in self._ensemble.parameters
        }
        self._optimizer = StackedOptimizer(self._ensemble.parameters, self._study)
        self._optimizer.restore(tensors)


def _norm(tensors: Mapping[str, Tensor]) -> Float[Tensor, " seeds"]:
    return torch.stack([value.flatten(1).square().sum(1) for value in tensors.values()]).sum(0).sqrt()


def _times(tensors: Stacked, factor: Float[Tensor, " seeds"]) -> Stacked:
    return {name: value * factor.view(-1, *[1] * (value.ndim - 1)) for name, value in tensors.items()}
