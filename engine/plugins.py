"""Finds what a package's files define, so that adding a thing means adding one file."""

import importlib
import pkgutil
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, attribute: str, kind: type[T]) -> dict[str, T]:
    """Import every public module of a package and collect the one object each must define.

    Args:
        package: dotted name of the package to list, for example ``engine.metrics``.
        attribute: name of the object that every module defines, for example ``METRIC``.
        kind: class that the object must be an instance of (or, for a class, a subclass of).

    Returns:
        The objects by their file's name with hyphens, in alphabetical order.

    Raises:
        TypeError: a module does not define the object, or defines one of another kind.
    """
    found: dict[str, T] = {}
    root = importlib.import_module(package)
    for module in sorted(pkgutil.iter_modules(root.__path__), key=lambda module: module.name):
        if module.name.startswith("_"):
            continue
        name = f"{package}.{module.name}"
        value = getattr(importlib.import_module(name), attribute, None)
        if not isinstance(value, kind):
            raise TypeError(f"`{name}` must define `{attribute}`, a `{kind.__name__}`; got {value!r}.")
        found[module.name.replace("_", "-")] = value
    return found
