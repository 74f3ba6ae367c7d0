"""What a data set is: a fixed split of examples, the same for every seed and every machine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from engine.tasks import Task


class Shape(NamedTuple):
    """What a model must know of a data set, without loading it.

    Attributes:
        train_rows: examples in the training split.
        inputs: shape of one example: (features,), (channels, height, width), (steps, channels), or (length,)
            of tokens.
        outputs: number of classes; 1 for signs; length of the last axis of the targets for values.
        task: what the targets are.
        tokens: size of the vocabulary where inputs are whole numbers; None where they are measurements.
    """

    train_rows: int
    inputs: tuple[int, ...]
    outputs: int
    task: Task
    tokens: int | None = None


class Split(NamedTuple):
    """Training and test examples.

    Attributes:
        train_inputs: the training rows; float64, or int64 where they are tokens.
        train_targets: int64 classes [examples]; float64 signs [examples] or values [examples, ..., outputs].
        test_inputs: the held-out rows; none where the data set has no held-out part.
        test_targets: their targets.
    """

    train_inputs: Num[np.ndarray, "examples *example"]
    train_targets: Int[np.ndarray, " examples"] | Float[np.ndarray, "examples *target"]
    test_inputs: Num[np.ndarray, "held_out *example"]
    test_targets: Int[np.ndarray, " held_out"] | Float[np.ndarray, "held_out *target"]


@dataclass(frozen=True)
class Dataset:
    """A data set that can be described without loading it.

    Attributes:
        title: a few words for the configuration table.
        source: where the data come from.
        shape: ``shape(**settings)`` says what a model must know.
        load: ``load(**settings)`` makes the split; for the same settings always the same one.
        settings: every setting of both, with its default.
        files: ``files(**settings)`` are a user's own files that it reads, in the order of their checksum.
    """

    title: str
    source: str
    shape: Callable[..., Shape]
    load: Callable[..., Split]
    settings: Mapping[str, Any] = field(default_factory=dict)
    files: Callable[..., Sequence[Path]] = lambda **_: ()
