"""What a data set is: a fixed split of examples, the same for every seed and every machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class Split(NamedTuple):
    """Training and test examples of a classification task.

    Attributes:
        train_inputs: features of the training rows.
        train_labels: their classes, 0 to classes - 1.
        test_inputs: features of the held-out rows.
        test_labels: their classes.
    """

    train_inputs: Float[np.ndarray, "examples features"]
    train_labels: Int[np.ndarray, " examples"]
    test_inputs: Float[np.ndarray, "held_out features"]
    test_labels: Int[np.ndarray, " held_out"]


@dataclass(frozen=True)
class Dataset:
    """A data set that can be described without loading it.

    Attributes:
        title: a few words for the configuration table.
        source: where the data come from.
        train_rows: examples in the training split.
        features: values an example.
        classes: number of classes.
        load: makes the split; always the same one.
    """

    title: str
    source: str
    train_rows: int
    features: int
    classes: int
    load: Callable[[], Split]
