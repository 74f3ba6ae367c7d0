"""The least-squares optima of a linear read-out whose features training does not move."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.analysis.shuffling import dataset, optimum
from engine.metrics import Optima
from engine.models.linear_network import LinearNetwork
from engine.studies import Study
from engine.training.device_data import DeviceData
from engine.training.ensemble import Ensemble, Stacked
from engine.training.measured import measured
from engine.training.orderings import single_shuffle

Matrix = Float[np.ndarray, "outputs features"]

_ASKING = {
    "distance_to_own_optimum",
    "distance_to_reshuffled_optimum",
    "distance_to_full_optimum",
    "excess_risk",
    "tail_excess_risk",
}


class FixedFeatures:
    """What the distances of the iterates to the optima of each data order are measured from.

    Args:
        features: of the full batch.
        optima: of the read-out; None where the loss is none of squares, or where a bias is trained beside it.
    """

    def __init__(self, features: Tensor, optima: Optima | None) -> None:
        self._features, self._optima = features, optima

    @classmethod
    def of(
        cls, ensemble: Ensemble, study: Study, data: DeviceData, seeds: Sequence[int]
    ) -> "FixedFeatures | None":
        """Return them where a metric asks for them and the model is linear on fixed features; else None."""
        model = ensemble.skeleton
        if not _ASKING & measured(study) or not isinstance(model, LinearNetwork) or not model.fixed_features:
            return None
        place = data.train[0]
        inputs, targets = (part.cpu().double() for part in data.train)
        features = model.features(inputs).to(place.device, place.dtype)
        # The optima are those of M alone: with a bias or a beta, F - F* is not a distance of matrices.
        if study.shape.task != "values" or any(name.endswith("bias") for name in ensemble.parameters):
            return cls(features, None)
        X, Y, eps = inputs.flatten(1).numpy(), targets.numpy(), model.eps
        if not model.normalize_inputs:  # then no order moves the features
            found = [optimum(X, Y)] * (len(seeds) + 2)
        else:
            orders = [single_shuffle(len(X), seed, 0) for seed in seeds]
            found = [optimum(*dataset(X, Y, study.batch, order, eps)) for order in orders]
            found += _shared(X.tobytes(), Y.tobytes(), len(X), study.batch, eps)
        matrices = torch.from_numpy(np.stack(found)).to(place.device, place.dtype)
        return cls(features, Optima(matrices[:-2], matrices[-2], matrices[-1]))

    def known(self, parameters: Stacked, tail: Stacked | None) -> dict[str, Any]:
        """Return what the metrics need at these weights and at their tail average, and may hold on to."""
        averaged = None if tail is None else LinearNetwork.readout(tail)
        return {
            "matrix": LinearNetwork.readout(parameters),
            "tail_matrix": averaged,
            "features": self._features,
            "optima": self._optima,
        }

    def keep(self, alive: Bool[Tensor, " seeds"]) -> None:
        """Go on with the alive replicas."""
        if self._optima is not None:
            self._optima = self._optima._replace(own=self._optima.own[alive])


@lru_cache(maxsize=1)
def _shared(inputs: bytes, targets: bytes, rows: int, batch: int, eps: float) -> list[Matrix]:
    """Return the optima of Random Reshuffle and of gradient descent, which no seed changes.

    The first takes 1.6 s for 64 rows in batches of 4; each stack asks for it, and so does what is looked at
    before a training begins.

    Args:
        inputs: float64 [rows, features].
        targets: float64 [rows, outputs].
        rows: of both.
        batch: examples a batch.
        eps: added to every variance.
    """
    X, Y = (np.frombuffer(part).reshape(rows, -1) for part in (inputs, targets))
    return [optimum(*dataset(X, Y, batch, order, eps)) for order in ("rr", "gd")]
