"""A split on the training device."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor

from engine.studies import Study

_NOISE_SEED = 0x6E6F6973


class DeviceData(NamedTuple):
    """Inputs and targets on the training device, measurements in the study's precision."""

    train: tuple[Num[Tensor, "examples *example"], Num[Tensor, "examples *target"]]
    test: tuple[Num[Tensor, "held_out *example"], Num[Tensor, "held_out *target"]]

    @classmethod
    def of(cls, study: Study, device: torch.device) -> "DeviceData":
        """Place a study's split on a device, with its label noise."""
        dtype = torch.float64 if study.dtype == "float64" else torch.float32

        def place(values: np.ndarray) -> Tensor:
            tensor = torch.from_numpy(values).to(device)
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        split, shape = study.load(), study.shape
        targets = split.train_targets
        if study.label_noise:
            targets = noisy(targets, study.label_noise, shape.outputs)
        return cls(
            (place(split.train_inputs), place(targets)), (place(split.test_inputs), place(split.test_targets))
        )


def noisy(targets: np.ndarray, share: float, classes: int) -> np.ndarray:
    """Return targets of which a share got a random wrong class (a wrong sign), always the same ones.

    Source:
        Zhang et al. 2017, partially corrupted labels; here the new class is never the old one.
    """
    random = np.random.default_rng(_NOISE_SEED)
    chosen = random.permutation(len(targets))[: round(share * len(targets))]
    wrong = targets.copy()
    if np.issubdtype(targets.dtype, np.integer):
        shift = random.integers(1, classes, size=len(chosen))
        wrong[chosen] = (targets[chosen] + shift) % classes
    else:
        wrong[chosen] *= -1
    return wrong
