"""Checks on numbers that a network's symmetries are symmetries."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves

from engine.connectivity.permutations import permute, random_permutations
from engine.connectivity.symmetry import Symmetry, symmetry
from engine.connectivity.tracing import aliases_of, doubled, elementary, in_double

LARGEST_DIFFERENCE = 1e-9
"""Largest difference of outputs, as a share of their size, that rounding in float64 is allowed to make."""

_checked: WeakKeyDictionary[nn.Module, dict[tuple[torch.Size, torch.dtype], Symmetry]] = WeakKeyDictionary()


def check_invariance(model: nn.Module, example: Tensor, symmetry: Symmetry, seed: int = 0) -> float:
    """Return how far a random member of the group moves the outputs, in float64.

    The weights are the model's own plus noise of a fifth of their size, so that units which start out alike,
    such as the scales of normalizations, are told apart.

    Args:
        model: in whatever mode and precision; it is not changed.
        example: a batch of its inputs.
        symmetry: of the model.
        seed: of the noise and of the member.

    Returns:
        The largest absolute difference of an output; where the largest output is above 1, as a share of it.

    Raises:
        ValueError: the outputs are not finite, so that nothing can be said.
    """
    generator = np.random.default_rng(seed)
    model, example = in_double(model), doubled(example)
    state = {name: _disturbed(value, generator) for name, value in model.state_dict().items()}
    for alias, name in aliases_of(model).items():
        state[alias] = state[name]
    moved = permute(symmetry, random_permutations(symmetry, generator), state)
    before, after = _outputs(model, state, example), _outputs(model, moved, example)
    if not bool(before.isfinite().all()):
        raise ValueError("`model` gives outputs that are not finite; check it on another `example`.")
    scale = max(1.0, float(before.abs().max()))
    return float((before - after).abs().max()) / scale


def _disturbed(value: Tensor, generator: np.random.Generator) -> Tensor:
    if not value.is_floating_point():
        return value
    size = float(value.square().mean().sqrt()) if value.numel() else 0.0
    noise = torch.from_numpy(np.asarray(generator.random(tuple(value.shape)))).to(value)
    # Towards larger values in both signs, so that a running variance stays positive.
    return value + 0.2 * (size if 0 < size < float("inf") else 1.0) * noise * torch.where(value < 0, -1, 1)


def _outputs(model: nn.Module, state: dict[str, Tensor], example: Tensor) -> Tensor:
    with elementary():
        outputs = functional_call(model, state, (example,), tie_weights=False)
    leaves = [leaf.flatten() for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return torch.cat([leaf.double() for leaf in leaves])


def verified_symmetry(model: nn.Module, example: Tensor) -> Symmetry:
    """Return a model's symmetries once a random member of them has left its outputs as they were.

    What was checked is remembered with the model object.

    Raises:
        ValueError: the outputs move by more than rounding can.
    """
    known = _checked.setdefault(model, {})
    key = (example.shape, example.dtype)
    if key not in known:
        found = symmetry(model, example)
        moved = check_invariance(model, example, found)
        if not moved <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"`model` must keep its outputs when its units are reordered; {type(model).__name__} moves "
                f"them by {moved:.2g}, where rounding makes {LARGEST_DIFFERENCE:g}. Something in it depends "
                "on the order of units in a way that its recorded operations do not show."
            )
        known[key] = found
    return known[key]
