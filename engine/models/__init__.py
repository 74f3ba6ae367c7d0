"""The architectures: ordinary modules that know nothing of seeds or stacking.

Each file defines one as ``MODEL``, a class made by ``MODEL(shape, **settings)``. What metrics and
interventions can use where a model has it:

- every nonlinearity is a module of its own (``nn.ReLU``, ...), so that its output can be watched;
- ``features(inputs)`` and ``readout(parameters)`` of the linear network: its outputs are M times features;
- ``units()``: which parameters lead into and out of the units of each nonlinearity, see `Units`;
- ``trajectory``: an ``nn.Identity`` that sees the hidden states [examples, steps, units] of a recurrent net,
  whose nonlinearity is applied step by step and so is no module.

They hold parameters only, no buffers, and draw nothing in a forward pass: ``torch.func`` can stack them.
"""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from data.errors import LabError
from data.plugins import discover_classes
from engine.datasets import Shape
from engine.models._units import Units

__all__ = ["Units", "build", "models"]


@cache
def models() -> dict[str, type[nn.Module]]:
    """Return every architecture by name; one file of this package defines each as ``MODEL``."""
    return discover_classes("engine.models", "MODEL", nn.Module)


def build(name: str, shape: Shape, settings: Mapping[str, Any]) -> nn.Module:
    """Return a freshly initialized module; its weights come from torch's global generator.

    Raises:
        LabError: no such architecture, or settings that it does not take.
    """
    known = models()
    if name not in known:
        raise LabError("Unknown model", f"There is no model `{name}`.", f"Choose one of: {', '.join(known)}.")
    _require_known(name, known[name], settings)
    try:
        return known[name](shape, **settings)
    except (TypeError, ValueError) as error:
        raise LabError(
            "Model settings refused", f"`{name}`: {error}", "Mend the settings of this model."
        ) from error


def _require_known(name: str, model: type[nn.Module], settings: Mapping[str, Any]) -> None:
    """Refuse a setting that a model does not have, and a word where it asks for true or false.

    Raises:
        LabError: such a setting.
    """
    taken = {key: one for key, one in inspect.signature(model).parameters.items() if key != "shape"}
    for key, value in settings.items():
        if key not in taken:
            raise LabError(
                "Model settings refused",
                f"`{name}`: there is no setting `{key}`.",
                f"Its settings: {', '.join(taken) or 'none'}.",
            )
        # Any word but an empty one counts as true: `no` would switch on what it means to switch off.
        if isinstance(taken[key].default, bool) and not isinstance(value, bool):
            raise LabError(
                "Model settings refused",
                f"`{name}`: `{key}` must be true or false; got {value!r}.",
                f"For example --set model.{key}={str(taken[key].default).lower()}.",
            )
