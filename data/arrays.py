"""Arrays as the bytes of a safetensors file, the same for the same arrays."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

_KINDS = "biuf"


def to_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return the content of a file that holds these arrays; neither their order nor the time changes it.

    Raises:
        ValueError: an array of something else than numbers or booleans.
    """
    strange = {name: str(array.dtype) for name, array in arrays.items() if array.dtype.kind not in _KINDS}
    if strange:
        raise ValueError(f"`arrays` must hold numbers or booleans; got {strange}.")
    # A strided view would be written as if it were contiguous.
    return save({name: np.require(array, requirements="C") for name, array in arrays.items()})
