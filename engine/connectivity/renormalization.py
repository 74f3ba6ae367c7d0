"""Re-normalization: every unit of a merged or pruned network gets the mean and spread it should have."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engine.connectivity.calibration import calibrate
from engine.connectivity.corrections import Correction, Goals, places
from engine.connectivity.folding import folded, with_room
from engine.connectivity.layers import private, trace
from engine.connectivity.weights import Array, State, Weights, as_inputs, checked, mixed, one_of, stacked


class Renormalizer:
    """Corrects networks towards the moments of others, any number of them at once.

    Args:
        model: the architecture.
        ends: stacked networks whose moments are the goals.
        X: calibration inputs.
        method: of the correction.
        batch_size: examples in one pass; the result does not depend on it.

    Attributes:
        model: what corrected weights fit: `model` with frozen statistics, and with the biases that it lacks.

    Raises:
        ValueError: as for ``places``, or `batch_size` is not positive.
    """

    def __init__(
        self, model: nn.Module, ends: State, X: Array, method: str, batch_size: int | None = None
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1, or None for all examples; got {batch_size}.")
        first = one_of(ends, 0)
        self._watched = private(model)
        self._X, self._method, self._batch_size = as_inputs(X, first), method, batch_size
        self._where = places(model, trace(self._watched, first, self._X), method)
        self._ends = self._calibrated(ends, None)
        self.model = with_room(copy.deepcopy(self._watched), self._where, self._ends)

    def _calibrated(self, states: State, goals: dict[str, Goals] | None) -> dict[str, Correction]:
        return calibrate(self._watched, self._where, states, self._X, goals, self._method, self._batch_size)

    def corrected(self, states: State, coefficients: Float[Tensor, "points ends"]) -> State:
        """Return stacked networks, corrected.

        Args:
            states: stacked.
            coefficients: how the goals of each network are mixed from the moments of the ends; standard
                deviations are mixed, not variances.
        """
        goals = None
        if self._method != "reset":
            weights = coefficients.double()
            goals = {
                place.name: Goals(weights @ end.mean, weights @ end.deviation)
                for place in self._where
                for end in [self._ends[place.name]]
                if place.corrected
            }
        return folded(states, self._where, self._calibrated(states, goals))

    def module(self, state: State, coefficients: Float[Tensor, "points ends"]) -> nn.Module:
        """Return one corrected network as a module in evaluation mode; `state` is a stack of one."""
        module = copy.deepcopy(self.model)
        # Assigned, not copied: the architecture may be without storage, or of another precision.
        module.load_state_dict(one_of(self.corrected(state, coefficients), 0), assign=True)
        return module


def renormalize(
    model: nn.Module,
    a: Weights,
    b: Weights,
    lam: float,
    X: Array,
    method: str = "repair",
    batch_size: int | None = None,
) -> nn.Module:
    """Return the network at (1 - lambda) a + lambda b with the moments of its units corrected.

    Every layer but the read-out is corrected in the order of execution, where the inputs of its nonlinearity
    are: behind the layer or, where a normalization alone reads it, behind that. With m and s the mean and
    standard deviation of a unit over the examples (and positions), after the layers before it were corrected,
    mu = (1 - lambda) mu_a + lambda mu_b and sd = (1 - lambda) sd_a + lambda sd_b, its input z becomes
    (z - m) sd / s + mu (`repair`), z sd / s (`rescale`) or z - m + mu (`reshift`). A unit that does not vary
    in the merge is moved and not scaled. In a transformer, queries, keys, values and what is added to the
    stream are corrected like all linear layers, the embeddings are not.

    Batch normalization here always uses the batch that it is given, so the plain merge depends on the
    examples that it is evaluated with. Any method therefore freezes the statistics that the merge has on `X`,
    and `reset` does nothing else.

    Args:
        model: the architecture.
        a: one end.
        b: the other.
        lam: where between them, from 0 to 1.
        X: calibration inputs, usually of the training set.
        method: ``repair``, ``rescale``, ``reshift`` or ``reset``.
        batch_size: examples in one pass; it bounds memory and leaves the result the same.

    Returns:
        An ordinary module in evaluation mode with the corrections folded into its weights: of the same
        architecture and parameter names, but for batch normalizations, which became a scale and a shift under
        their own names, and layers without a bias, which have one. In the precision of the ends; moments are
        taken in float64.

    Raises:
        ValueError: the ends do not fit, `lam` is outside of [0, 1], `method` is unknown, or it is `reset`
            without batch normalization; a layer runs more than once in one pass, as in a recurrent network.

    Source:
        Jordan et al. 2022 (REPAIR); Qu & Horvath 2024 (RESCALE, RESHIFT). Here with moments in closed form:
        layers wrapped in batch normalizations, as in published code, miss their goals by 2e-3 to 5e-2.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"`lam` must be in [0, 1]; got {lam}.")
    ends = stacked(checked(model, a=a, b=b))
    coefficients = torch.tensor([[1 - lam, lam]], dtype=torch.float64, device=_device(ends))
    renormalizer = Renormalizer(model, ends, X, method, batch_size)
    return renormalizer.module(mixed(ends, coefficients), coefficients)


def renormalize_towards(
    model: nn.Module,
    dense: Weights,
    sparse: Weights,
    X: Array,
    method: str = "repair",
    batch_size: int | None = None,
) -> nn.Module:
    """Return a pruned network whose units have the moments of the dense one's; else as ``renormalize``.

    Args:
        model: the architecture.
        dense: the network whose moments are the goals.
        sparse: the network that is corrected.
        X: calibration inputs.
        method: ``repair``, ``rescale``, ``reshift`` or ``reset``.
        batch_size: examples in one pass.

    Raises:
        ValueError: as for ``renormalize``.

    Source:
        Jordan et al. 2022 (REPAIR), where it is applied to merges; to pruned networks: Qu & Horvath 2024.
    """
    ends, pruned = (stacked([one]) for one in checked(model, dense=dense, sparse=sparse))
    coefficients = torch.ones(1, 1, dtype=torch.float64, device=_device(ends))
    return Renormalizer(model, ends, X, method, batch_size).module(pruned, coefficients)


def _device(state: State) -> torch.device:
    return next(iter(state.values())).device
