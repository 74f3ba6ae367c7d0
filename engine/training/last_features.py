"""What the last layer of a network reads at some weights, by batch and as a whole, and the read-out on it."""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Num
from torch import Tensor, nn
from torch.func import vmap

from data.errors import LabError
from engine.analysis.shuffling import (
    NormalizedData,
    Risks,
    Separability,
    Verdict,
    dataset,
    distance,
    optimum,
    risk,
    separability,
    verdict,
)
from engine.analysis.shuffling.contrast import Contrast, Seen, signs
from engine.analysis.shuffling.normalization import Through
from engine.analysis.shuffling.risks import Distances, of_subsets
from engine.models import build
from engine.models.linear_network import LinearNetwork
from engine.studies import Study
from engine.tasks import Task
from engine.training.device_data import DeviceData
from engine.training.orderings import Order, ordering, single_shuffle

FIXED = ("SS", "IGM")
"""Orderings with the same batches in every epoch."""
SUBSETS = 128
"""Batches that stand for all of an order that changes every epoch where classes are told apart: a linear
program takes each of their rows."""
NUMBERS = 2**17
"""Numbers in the features of those batches for least squares, which takes many; 1 MiB."""


class LastFeatures(NamedTuple):
    """The features of one run at some weights, and the read-out M and offset that act on them.

    Attributes:
        permuted: under the batches of the seed's permutation: Single Shuffle's, Random Reshuffle's first.
        reshuffled: under subsets of the batch size, all of them or a sample.
        exact: whether these are all.
        full: under the full batch.
        fixed: whether the run's own batches are those of its permutation in every epoch.
        batch: examples a batch.
        matrix: M, the read-out; times the scale of a normalization right before it.
        offset: what the outputs have besides: the bias, and the read-out of that normalization's shift.
        task: what the targets are.
        intercept: whether an offset is trained.
        scale_trained: whether that normalization trains its scale beside the read-out.
    """

    permuted: Seen
    reshuffled: Seen
    exact: bool
    full: Seen
    fixed: bool
    batch: int
    matrix: Float[np.ndarray, "outputs features"]
    offset: Float[np.ndarray, " outputs"]
    task: Task
    intercept: bool
    scale_trained: bool

    @property
    def own(self) -> Seen:
        """Under the run's own batches; of an order that changes every epoch, under subsets of all."""
        return self.permuted if self.fixed else self.reshuffled

    def risks(self) -> Risks:
        """Return the mean loss of the read-out on the three data, each by the statistics of its batches."""

        def measured(data: NormalizedData) -> Float[np.ndarray, ""]:
            features = np.column_stack([data.features, np.ones(len(data.features))])
            return np.array(risk(whole, features, data.targets, self.task))

        whole = np.column_stack([self.matrix, self.offset])
        own, full = (float(measured(NormalizedData(*one[:2]))) for one in (self.permuted, self.full))
        subsets = NormalizedData(*self.reshuffled[:2])
        return Risks(own, of_subsets(measured, subsets, len(self.full.targets), self.batch, self.exact), full)

    def distances(self) -> Distances | None:
        """Return how far M is from the optima of squared error; None of other losses, or with an offset."""
        if self.task != "values" or self.intercept:
            return None
        best = (optimum(*one[:2]) for one in (self.permuted, self.reshuffled, self.full))
        return Distances(*(distance(self.matrix, one).item() if one.any() else float("nan") for one in best))

    def confusion(self) -> Float[np.ndarray, "classes classes"]:
        """Return how much probability the full batch gives the examples of a class (rows) by class."""
        outputs = self.full.features @ self.matrix.T + self.offset
        likely = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        likely /= likely.sum(axis=1, keepdims=True)
        classes = range(len(self.matrix))
        return np.stack([likely[self.full.targets == one].sum(axis=0) for one in classes])

    def contrast(self, first: int = 1, second: int = 0) -> Contrast:
        """Return two classes and what tells them apart; of signs always +1 and -1.

        Raises:
            ValueError: the targets are values, which nothing separates.
        """
        if self.task == "values":
            raise ValueError("`task` must be signs or classes to be separated; got values.")
        if self.task == "signs":
            direction, offset = self.matrix[0], float(self.offset[0])
            return Contrast(self.own, self.full, direction, offset, self.intercept, self.scale_trained)
        parts = []
        for one in (self.own, self.full):
            chosen, labels = signs(one.targets, first, second)
            parts.append(Seen(one.features[chosen], labels, one.examples[chosen]))
        own, full = parts
        direction = self.matrix[first] - self.matrix[second]
        offset = float(self.offset[first] - self.offset[second])
        return Contrast(own, full, direction, offset, self.intercept, self.scale_trained)

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
            own, full = (np.where(seen.targets == one, 1.0, -1.0) for seen in (self.own, self.full))
            split = separability(self.own.features, own, self.intercept, self.scale_trained)
            found[int(one)] = split, verdict(split, self.full.features, full, time)
        return found


class LastLayer:
    """The last layer of an arm's networks, whatever their weights.

    Args:
        study: whose networks end in a linear read-out of features, whatever comes before.
        arm: which of its arms.
        subsets: batches drawn for Random Reshuffle's data, where all are more; None for `SUBSETS`, of values
            as many as hold `NUMBERS` numbers.

    Raises:
        LabError: a model whose outputs are not linear in what its last linear layer reads.
    """

    def __init__(self, study: Study, arm: str, subsets: int | None = None) -> None:
        self._study, self._arm, self._subsets = study.of(arm), arm, subsets
        self._model = build(self._study.model, self._study.shape, study.model_of(arm)).double()
        inputs, self._targets = DeviceData.of(self._study, torch.device("cpu")).train
        self._inputs = inputs.double() if inputs.is_floating_point() else inputs
        self._require_linear()

    def at(self, seed: int, weights: Mapping[str, npt.NDArray[np.generic]]) -> LastFeatures:
        """Return them for one run at the weights of a checkpoint.

        Args:
            seed: of the run, which fixes its order.
            weights: by the names of its parameters, as the store keeps them.
        """
        parameters = {
            name: torch.from_numpy(np.array(one, dtype=np.float64)) for name, one in weights.items()
        }
        self._model.load_state_dict(parameters)
        batch, chosen = self._study.batch, self._study.arms[0].ordering
        rows = len(self._targets)
        fixed = chosen in FIXED
        order: Order = ordering(chosen).order(rows, seed, 0) if fixed else single_shuffle(rows, seed, 0)
        # The batches are of row numbers, so that examples of any shape go through.
        numbers, through = np.arange(rows, dtype=np.float64)[:, None], self._through()
        targets = self._targets.numpy()
        matrix, offset, intercept, scaled = self._read_out(parameters)
        subsets = self._subsets or SUBSETS
        if self._subsets is None and self._study.shape.task == "values":
            subsets = max(NUMBERS // (batch * matrix.shape[1]), SUBSETS)

        def seen(which: Order | Literal["rr", "gd"]) -> Seen:
            data = dataset(
                numbers, np.arange(rows), batch, which, subsets=subsets, seed=seed, through=through
            )
            return Seen(data.features, targets[data.targets], data.targets)

        reshuffled = seen("rr")
        exact = math.comb(rows, batch) <= subsets
        return LastFeatures(
            seen(order), reshuffled, exact, seen("gd"), fixed, batch, matrix, offset, self._study.shape.task,
            intercept, scaled,
        )  # fmt: skip

    def _read_out(
        self, parameters: Mapping[str, Tensor]
    ) -> tuple[Float[np.ndarray, "outputs features"], Float[np.ndarray, " outputs"], bool, bool]:
        """Return M, the offset, and whether an offset and a scale beside M are trained."""
        if not isinstance(self._model, LinearNetwork):
            last = _last(self._model)
            bias = np.zeros(last.out_features) if last.bias is None else last.bias.detach().numpy().copy()
            return last.weight.detach().numpy().copy(), bias, last.bias is not None, False
        last_at = len(self._model.layers) - 1
        matrix = LinearNetwork.readout(parameters).numpy()
        names = (f"layers.{last_at}.bias", f"layers.{last_at - 1}.bias")
        own, shift = (parameters.get(name) for name in names)
        offset = np.zeros(len(matrix))
        if own is not None:
            offset = offset + own.numpy()
        if shift is not None:
            offset = offset + (parameters[f"layers.{last_at}.weight"] @ shift).numpy()
        before = parameters.get(f"layers.{last_at - 1}.weight")
        scaled = before is not None and before.ndim == 1
        return matrix, offset, own is not None or shift is not None, scaled

    def _through(self) -> Through:
        """Return the network up to its read-out as a function of stacked batches of row numbers."""

        def features(batches: Float[np.ndarray, "batches examples 1"]) -> Float[np.ndarray, "..."]:
            rows = torch.from_numpy(batches[..., 0].astype(np.int64))
            with torch.no_grad():
                found: Float[np.ndarray, ...] = vmap(self._features)(self._inputs[rows]).numpy()
                return found

        return features

    def _features(self, inputs: Num[Tensor, "examples *example"]) -> Float[Tensor, "examples features"]:
        if isinstance(self._model, LinearNetwork):
            return self._model.features(inputs)
        return _entering(_last(self._model), self._model, inputs)[0]

    def _require_linear(self) -> None:
        if isinstance(self._model, LinearNetwork):
            return
        found = [part for part in self._model.modules() if isinstance(part, nn.Linear)]
        some = self._inputs[: min(len(self._inputs), 8)]
        if found:
            with torch.no_grad():
                features, outputs = _entering(found[-1], self._model, some)
                if features.ndim == 2 and torch.equal(found[-1](features), outputs):
                    return
        raise LabError(
            "No linear read-out",
            f"`{self._study.name}`, arm {self._arm}: the outputs of {self._study.model} are not linear in "
            "what its last layer reads.",
            "Choose a study whose networks end in a linear layer.",
        )


def last_features(
    study: Study,
    arm: str,
    seed: int,
    weights: Mapping[str, npt.NDArray[np.generic]],
    subsets: int | None = None,
) -> LastFeatures:
    """Return them for one run of a study at the weights of a checkpoint: see ``LastLayer``."""
    return LastLayer(study, arm, subsets).at(seed, weights)


def _last(model: nn.Module) -> nn.Linear:
    return [part for part in model.modules() if isinstance(part, nn.Linear)][-1]


def _entering(last: nn.Linear, model: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return what reaches a layer, and the model's outputs."""
    reached = list[Tensor]()
    hook = last.register_forward_pre_hook(lambda module, given: reached.append(given[0]))
    try:
        outputs: Tensor = model(inputs)
    finally:
        hook.remove()
    return reached[-1], outputs
