"""Small data sets of every task, studies on them, and what a training of one says, gathered."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from engine.datasets import Dataset, Shape, Split
from engine.studies import Arm, Study
from engine.training.device_data import DeviceData
from engine.training.loop import replicas_of, train
from engine.training.record import Convergence, Divergence, Kept, Replica, Stretch
from engine.training.stack import Stack

CPU = torch.device("cpu")
ROWS = 26  # of batches of 8 the last has 2


def _toy(shape: Shape) -> Dataset:
    def load() -> Split:
        rng = np.random.default_rng(5)
        rows = shape.train_rows + 6
        if shape.tokens is None:
            inputs: np.ndarray = rng.normal(size=(rows, *shape.inputs))
        else:
            inputs = rng.integers(shape.tokens, size=(rows, *shape.inputs))
        if shape.task == "classes":
            targets: np.ndarray = rng.permutation(np.arange(rows) % shape.outputs)
        elif shape.task == "signs":
            targets = rng.permutation(np.where(np.arange(rows) % 2, 1.0, -1.0))
        else:
            steps = shape.inputs[:1] if len(shape.inputs) == 2 else ()
            targets = rng.normal(size=(rows, *steps, shape.outputs))
        cut = shape.train_rows
        return Split(inputs[:cut], targets[:cut], inputs[cut:], targets[cut:])

    return Dataset("toy", "drawn here", lambda: shape, load)


TOYS = {
    "toy-classes": _toy(Shape(ROWS, (5,), 3, "classes")),
    "toy-images": _toy(Shape(ROWS, (1, 6, 6), 3, "classes")),
    "toy-signs": _toy(Shape(ROWS, (5,), 1, "signs")),
    "toy-values": _toy(Shape(ROWS, (5,), 2, "values")),
    "toy-sequences": _toy(Shape(ROWS, (4, 2), 1, "values")),
    "toy-tokens": _toy(Shape(ROWS, (3,), 5, "classes", 5)),
}


def toy(**changes: Any) -> Study:
    """Return a study of one arm on toy classes in float64, with some settings changed.

    ``ordering`` and ``fraction`` are those of its arm.
    """
    fraction = {"fraction": changes.pop("fraction")} if "fraction" in changes else {}
    settings: dict[str, Any] = {
        "name": "toy",
        "title": "Toy",
        "claim": "None.",
        "dataset": "toy-classes",
        "model": "mlp",
        "model_settings": {"width": 6, "depth": 1, "norm": "batch"},
        "arms": (Arm("it", changes.pop("ordering", "RR"), {}, fraction),),
        "epochs": 5,
        "batch_size": 8,
        "lr": 0.1,
        "dtype": "float64",
        "evaluate_every": 10,
    }
    return Study(**settings | changes)


def stack_of(study: Study, replicas: Sequence[Replica]) -> Stack:
    """Return the one stack of replicas whose arms share everything but the ordering."""
    data = DeviceData.of(study.of(replicas[0].arm), CPU)
    return Stack(study, dict(enumerate(replicas)), data)


def seeds(study: Study, *numbers: int) -> list[Replica]:
    """Return these seeds of every arm."""
    return replicas_of(study, [], numbers)


class Ran(NamedTuple):
    """What a training said; rows and weights by (replica, step)."""

    rows: dict[tuple[int, int], dict[str, float]]
    kept: dict[tuple[int, int], dict[str, np.ndarray]]
    diverged: list[Divergence]
    converged: list[Convergence]
    stretches: list[Stretch]

    def column(self, name: str, replica: int = 0) -> dict[int, float]:
        """Return one metric of one replica by its step."""
        return {
            step: row[name]
            for (which, step), row in sorted(self.rows.items())
            if which == replica and name in row
        }

    def losses(self, replica: int = 0) -> list[float]:
        """Return one replica's batch losses."""
        return list(self.column("batch_loss", replica).values())


def ran(study: Study, replicas: Sequence[Replica], **how: Any) -> Ran:
    """Train, and gather what is said; a row or a weight said twice is an error."""
    return gathered(list(train(study, replicas, how.pop("device", CPU), **how)))


def gathered(stretches: Sequence[Stretch]) -> Ran:
    """Gather what some stretches say."""
    out = Ran({}, {}, [], [], list(stretches))
    for stretch in stretches:
        out.diverged.extend(stretch.diverged)
        out.converged.extend(stretch.converged)
        for kept in stretch.kept:
            _gather_kept(out, kept)
        for rows in stretch.rows:
            for at, which in enumerate(rows.replicas):
                key = int(which), int(rows.steps[at])
                assert key not in out.rows, f"row {key} came twice"
                columns = {name: values[at] for name, values in rows.columns.items()}
                out.rows[key] = columns | {"epoch": rows.epochs[at]}
    return out


def _gather_kept(out: Ran, kept: Kept) -> None:
    for at, which in enumerate(kept.replicas):
        key = int(which), kept.step
        assert key not in out.kept, f"weights {key} came twice"
        out.kept[key] = {name: values[at] for name, values in kept.parameters.items()}
