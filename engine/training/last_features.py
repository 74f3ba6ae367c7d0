"""What a linear network's last normalization makes of the data at some weights, by batch and as a whole."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float

from data.errors import LabError
from engine.analysis.shuffling import (
    NormalizedData,
    Separability,
    Verdict,
    dataset,
    separability,
    verdict,
)
from engine.analysis.shuffling.normalization import Through
from engine.models import build
from engine.models.linear_network import LinearNetwork
from engine.studies import Study
from engine.tasks import Task
from engine.training.device_data import DeviceData
from engine.training.orderings import Order, ordering

FIXED = ("SS", "IGM")
"""Orderings with the same batches in every epoch."""


class LastFeatures(NamedTuple):
    """The features of one run at some weights, and the read-out M and offset that act on them.

    Attributes:
        own: under the run's own batches; of an ordering that changes every epoch, under subsets of all.
        full: under the full batch.
        matrix: M, the read-out times the scale of the last normalization.
        offset: what the outputs have besides: the bias, and the read-out of the last normalization's shift.
        task: what the targets are.
        intercept: whether an offset is trained.
        scale_trained: whether that normalization trains its scale beside the read-out.
    """

    own: NormalizedData
    full: NormalizedData
    matrix: Float[np.ndarray, "outputs features"]
    offset: Float[np.ndarray, " outputs"]
    task: Task
    intercept: bool
    scale_trained: bool

    def verdicts(self, time: float | None = None) -> dict[int, tuple[Separability, Verdict]]:
        """Return the split and the verdict by class against the rest; of signs, that of +1 alone.

        Args:
            time: step size x steps trained; None where it does not matter.

        Raises:
            ValueError: the targets are values, which nothing separates.
        """
        if self.task == "values":
            raise ValueError("`task` must be signs or classes to be separated; got values.")
        labels = self.full.targets
        found = {}
        for one in (1,) if self.task == "signs" else np.unique(labels).tolist():
            own, full = (np.where(data.targets == one, 1.0, -1.0) for data in (self.own, self.full))
            split = separability(self.own.features, own, self.intercept, self.scale_trained)
            found[int(one)] = split, verdict(split, self.full.features, full, time)
        return found


def last_features(
    study: Study, arm: str, seed: int, weights: Mapping[str, npt.NDArray[np.generic]], subsets: int = 128
) -> LastFeatures:
    """Return them for one run of a study at the weights of a checkpoint.

    Args:
        study: of linear networks with a normalization before the read-out.
        arm: of the run.
        seed: of the run, which fixes its order.
        weights: by the names of its parameters, as the store keeps them.
        subsets: batches drawn for an ordering that changes every epoch, where all are more.

    Raises:
        LabError: another model, or no normalization before the read-out.
    """
    alone, settings = study.of(arm), study.model_of(arm)
    model = build(alone.model, alone.shape, settings).double()
    before = model.layers[-2] if isinstance(model, LinearNetwork) and len(model.layers) > 1 else None
    if not isinstance(model, LinearNetwork) or not hasattr(before, "normalize"):
        raise LabError(
            "No last normalization",
            f"`{study.name}`, arm {arm}: the read-out of {alone.model} does not act on normalized features.",
            "Choose an arm of a linear network with batch normalization.",
        )
    parameters = {name: torch.from_numpy(np.array(one, dtype=np.float64)) for name, one in weights.items()}
    model.load_state_dict(parameters)
    inputs, targets = (part.numpy() for part in DeviceData.of(alone, torch.device("cpu")).train)
    chosen = ordering(alone.arms[0].ordering)
    fixed = alone.arms[0].ordering in FIXED
    order: Order | Literal["rr"] = chosen.order(len(inputs), seed, 0) if fixed else "rr"
    X, through = inputs.reshape(len(inputs), -1).astype(np.float64), _through(model)
    own = dataset(X, targets, alone.batch, order, subsets=subsets, seed=seed, through=through)
    full = dataset(X, targets, alone.batch, "gd", through=through)
    matrix = LinearNetwork.readout(parameters).numpy()
    names = set(parameters)
    last = len(model.layers) - 1
    bias, shift = f"layers.{last}.bias", f"layers.{last - 1}.bias"
    offset = np.zeros(len(matrix))
    if bias in names:
        offset = offset + parameters[bias].numpy()
    if shift in names:
        offset = offset + (parameters[f"layers.{last}.weight"] @ parameters[shift]).numpy()
    scaled = f"layers.{last - 1}.weight" in names
    return LastFeatures(own, full, matrix, offset, alone.shape.task, bool({bias, shift} & names), scaled)


def _through(model: LinearNetwork) -> Through:
    """Return the network up to its last normalization as a function of stacked batches."""

    def features(batches: Float[np.ndarray, "batches examples inputs"]) -> Float[np.ndarray, "..."]:
        with torch.no_grad():
            return np.stack([model.features(torch.from_numpy(batch)).numpy() for batch in batches])

    return features
