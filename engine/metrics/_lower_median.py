"""The lower median, with the same bits on every device."""

import torch
from jaxtyping import Float
from torch import Tensor


def lower_median(entries: Float[Tensor, "seeds entries"]) -> Float[Tensor, " seeds"]:
    """Return the entry at place (n - 1) // 2 of each row's n in ascending order; NaN where a row has one.

    On a GPU torch refuses its own median where algorithms must be deterministic, for the index it gives
    beside the value. On a CPU that one takes a sixth of the time of sorting 100,000 entries.
    """
    return by_sorting(entries) if entries.is_cuda else entries.median(1).values


def by_sorting(entries: Float[Tensor, "seeds entries"]) -> Float[Tensor, " seeds"]:
    """Return what :func:`lower_median` does, in another way."""
    ordered = entries.sort(1).values  # NaN comes last
    return torch.where(ordered[:, -1].isnan(), torch.nan, ordered[:, (entries.shape[1] - 1) // 2])
