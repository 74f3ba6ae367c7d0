"""What the settings of data sets have in common: where defaults stand, and how a bad value is refused."""

import inspect
from collections.abc import Callable
from typing import Any

from data.errors import LabError


def defaults(load: Callable[..., Any]) -> dict[str, Any]:
    """Return every parameter of a data set's ``load`` with its default, so that they are written once."""
    return {name: parameter.default for name, parameter in inspect.signature(load).parameters.items()}


def require_setting(holds: bool, name: str, rule: str, value: object) -> None:
    """Refuse a setting's value.

    Args:
        holds: whether the value keeps the rule.
        name: the setting.
        rule: what it must be, to be read after "must be".
        value: what it is.

    Raises:
        LabError: the value does not keep the rule.
    """
    if not holds:
        raise LabError(
            "Setting out of range",
            f"`{name}` must be {rule}; got {value!r}.",
            "Give a value within the range.",
        )


def require_at_least(least: int, **settings: int) -> None:
    """Refuse whole-number settings below a bound.

    Raises:
        LabError: a setting is smaller.
    """
    for name, value in settings.items():
        require_setting(value >= least, name, f"at least {least}", value)
