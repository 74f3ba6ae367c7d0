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

    At each evaluation the mean log growth of the distance per step is read off, and the twin's weights and
    moments are pulled back along their difference to a distance of 1e-8 of weights.

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
        self._steps = 0

    def step(
        self, inputs: Num[Tensor, "seeds batch *ex"], targets: Num[Tensor, "seeds batch *t"], lr: float
    ) -> None:
        """Take the step that the replicas take."""
        self._optimizer.step(self._ensemble.gradients(inputs, targets).gradients, lr)
        self._steps += 1

    def growth(self, parameters: Stacked, moments: Sequence[Stacked]) -> Float[Tensor, " seeds"] | None:
        """Return the mean log growth of the distance per step since the last call, and pull the twin back.

        Args:
            parameters: of the replicas now.
            moments: of the replicas' optimizer now.
        """
        if not self._steps:
            return None
        twins = self._ensemble.parameters
        apart = {name: value - parameters[name] for name, value in twins.items()}
        distance = _norm(apart)
        growth = torch.log(distance / DISTANCE) / self._steps
        back = DISTANCE / distance
        for values, pulled in ((twins, parameters), *zip(self._optimizer.moments, moments, strict=True)):
            difference = _times({name: value - pulled[name] for name, value in values.items()}, back)
            for name, value in values.items():
                value.copy_(pulled[name] + difference[name])
        self._steps = 0
        return growth

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Go on beside the alive replicas."""
        self._ensemble.keep(alive)
        self._optimizer.keep(alive, self._ensemble.parameters)

    def state(self) -> Stacked:
        """Return what goes on from step to step."""
        return {
            "shared/steps": torch.tensor(self._steps),
            **{f"parameters/{name}": value for name, value in self._ensemble.parameters.items()},
            **self._optimizer.state(),
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` returned."""
        self._steps = int(tensors["shared/steps"])
        self._ensemble.parameters = {
            name: tensors[f"parameters/{name}"].clone() for name in self._ensemble.parameters
        }
        self._optimizer = StackedOptimizer(self._ensemble.parameters, self._study)
        self._optimizer.restore(tensors)


def _norm(tensors: Mapping[str, Tensor]) -> Float[Tensor, " seeds"]:
    return torch.stack([value.flatten(1).square().sum(1) for value in tensors.values()]).sum(0).sqrt()


def _times(tensors: Stacked, factor: Float[Tensor, " seeds"]) -> Stacked:
    return {name: value * factor.view(-1, *[1] * (value.ndim - 1)) for name, value in tensors.items()}
