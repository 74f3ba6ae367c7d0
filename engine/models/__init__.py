"""The architectures: ordinary modules that know nothing of seeds or stacking."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from torch import nn

from data.errors import LabError
from engine.plugins import discover

__all__ = ["build", "models"]


@cache
def models() -> dict[str, type]:
    """Return every architecture by name; one file of this package defines each as ``MODEL``."""
    return discover("engine.models", "MODEL", type)


def build(name: str, inputs: int, outputs: int, settings: Mapping[str, Any]) -> nn.Module:
    """Return a freshly initialized module; its weights come from torch's global generator.

    Raises:
        LabError: no such architecture, or settings that it does not take.
    """
    known = models()
    if name not in known:
        raise LabError("Unknown model", f"There is no model `{name}`.", f"Choose one of: {', '.join(known)}.")
    try:
        module = known[name](inputs, outputs, **settings)
    except (TypeError, ValueError) as error:
        raise LabError(
            "Model settings refused", f"`{name}`: {error}", "Mend the settings of this model."
        ) from error
    assert isinstance(module, nn.Module)
    return module
