"""The stacked weights as the metrics of Hu et al. see them."""

from collections.abc import Callable, Mapping
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor


class Weights:
    """Weight matrices and biases of every replica, with the singular values computed once.

    A weight matrix is a parameter of two or more dimensions, seen as out x (in * kernel); a bias is
    a parameter of one dimension whose name ends in ``bias``. The scales of a normalization are neither.

    Args:
        parameters: stacked parameters by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.matrices: list[Float[Tensor, "seeds rows columns"]] = [
            value.detach().flatten(2) for value in parameters.values() if value.ndim >= 3
        ]
        self.biases: list[Float[Tensor, "seeds units"]] = [
            value.detach() for name, value in parameters.items() if value.ndim == 2 and name.endswith("bias")
        ]

    @cached_property
    def singular_values(self) -> list[Float[Tensor, "seeds rank"]]:
        """Singular values of each matrix, descending; NaN where a replica's matrix is not finite.

        Matrices of one shape go through one batched call. A matrix that is not finite would make
        LAPACK refuse the whole batch, so it is replaced before the call and marked after it.
        """
        values: list[Tensor] = [torch.empty(0)] * len(self.matrices)
        shapes: dict[torch.Size, list[int]] = {}
        for index, matrix in enumerate(self.matrices):
            shapes.setdefault(matrix.shape, []).append(index)
        for indices in shapes.values():
            stacked = torch.stack([self.matrices[index] for index in indices])
            finite = stacked.isfinite().flatten(2).all(2)
            spectra = torch.linalg.svdvals(torch.where(finite[..., None, None], stacked, 0.0))
            spectra = torch.where(finite[..., None], spectra, torch.nan)
            for index, spectrum in zip(indices, spectra, strict=True):
                values[index] = spectrum
        return values

    def mean_over_matrices(
        self, quantity: Callable[[Float[Tensor, "seeds rows columns"], Float[Tensor, "seeds rank"]], Tensor]
    ) -> Float[Tensor, " seeds"]:
        """Return the mean over matrices of a quantity of (matrix, singular values)."""
        pairs = zip(self.matrices, self.singular_values, strict=True)
        return torch.stack([quantity(matrix, spectrum) for matrix, spectrum in pairs]).mean(0)

    @cached_property
    def all_weights(self) -> Float[Tensor, "seeds entries"]:
        """All entries of all weight matrices side by side."""
        return torch.cat([matrix.flatten(1) for matrix in self.matrices], 1)

    @cached_property
    def all_biases(self) -> Float[Tensor, "seeds entries"] | None:
        """All biases side by side; None where the model has none."""
        return torch.cat(self.biases, 1) if self.biases else None
