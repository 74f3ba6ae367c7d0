"""The networks of a connection, with their architecture and data, ready for torch."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from data import checkpoints, networks
from data.errors import LabError
from data.store import Store
from engine.jobs.connect_request import Node
from engine.models import build
from engine.studies import Study
from engine.tasks import Task
from engine.training.device_data import DeviceData

State = dict[str, Tensor]
CALIBRATION = 2048
"""Training rows at most that units are matched and corrected on."""


class Split(NamedTuple):
    """Examples of one part of the data set."""

    name: str
    X: Tensor
    y: Tensor


class Networks:
    """One architecture, its data, and the weights of any network of a study.

    Args:
        store: where the study is.
        study: its name.
        arm: whose architecture it is.

    Raises:
        LabError: the study's data or model cannot be had.
    """

    def __init__(self, store: Store, study: str, arm: str) -> None:
        self._store = store
        self.study = Study.from_config(store.catalog.study(study).config).of(arm)
        self.task: Task = self.study.shape.task
        self.dtype = torch.float64 if self.study.dtype == "float64" else torch.float32
        model = build(self.study.model, self.study.shape, self.study.model_settings)
        self.model: nn.Module = model.to(self.dtype).eval()
        data = DeviceData.of(self.study, torch.device("cpu"))
        self.splits = [Split("train", *data.train)] + (
            [Split("test", *data.test)] if len(data.test[0]) else []
        )
        self._runs = {(run.arm, run.seed): run.id for run in store.catalog.runs(study, archived=True)}

    @property
    def calibration(self) -> tuple[Tensor, Tensor]:
        """Training rows that units are matched and corrected on."""
        train = self.splits[0]
        return train.X[:CALIBRATION], train.y[:CALIBRATION]

    @property
    def example(self) -> Tensor:
        """A few inputs, by which the architecture is traced."""
        return self.splits[0].X[:8]

    def weights(self, node: Node, step: int | None = None) -> State:
        """Return the weights of a network, at another step of its run where one is given.

        Raises:
            LabError: they are not there, not finite, or not those of this architecture.
        """
        if node.file:
            tensors = networks.load(self._store, node.file)
        else:
            run = self._runs[node.arm, node.seed if node.seed is not None else -1]
            _, tensors = checkpoints.weights(self._store, run, node.step if step is None else step)
        expected = {name: tuple(one.shape) for name, one in self.model.state_dict().items()}
        found = {name: tuple(one.shape) for name, one in tensors.items()}
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise LabError(
                    "Another architecture",
                    f"{node.label}: `{name}` is {_told(found.get(name))}; in {self.study.model} of arm "
                    f"{node.arm} it is {_told(expected.get(name))}.",
                    "Give weights of the same architecture, or name the arm that has it.",
                )
        for name, one in tensors.items():
            if not np.isfinite(one).all():
                raise LabError(
                    "Weights that are not finite",
                    f"{node.label}: `{name}` holds NaN or infinity.",
                    "Choose another run, or an earlier checkpoint of it.",
                )
        return {name: torch.from_numpy(np.array(one)).to(self.dtype) for name, one in tensors.items()}

    def all_weights(self, nodes: Sequence[Node], step: int | None = None) -> list[State]:
        """Return the weights of several networks."""
        return [self.weights(node, step) for node in nodes]


def _told(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "of shape " + "x".join(map(str, shape)) if shape else "a number"
