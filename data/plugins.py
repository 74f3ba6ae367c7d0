"""Finds what a package's files define, so that adding a thing means adding one file."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def discover(package: str, attribute: str, kind: type[T]) -> dict[str, T]:
    """Import every public module of a package and collect the one object each must define.

    Args:
        package: dotted name of the package to list, for example ``engine.metrics``.
        attribute: name of the object that every module defines, for example ``METRIC``.
        kind: class that the object must be an instance of.

    Returns:
        The objects by their file's name with hyphens, in alphabetical order.

    Raises:
        TypeError: a module does not define the object, or defines one of another kind.
    """
    found: dict[str, T] = {}
    for name, module, value in _defined(package, attribute):
        if not isinstance(value, kind):
            raise TypeError(f"`{module}` must define `{attribute}`, a `{kind.__name__}`; got {value!r}.")
        found[name] = value
    return found


def discover_classes(package: str, attribute: str, kind: type[T]) -> dict[str, type[T]]:
    """Import every public module of a package and collect the one class each must define.

    Args:
        package: dotted name of the package to list, for example ``engine.models``.
        attribute: name of the class that every module defines, for example ``MODEL``.
        kind: class that it must be a subclass of.

    Returns:
        The classes by their file's name with hyphens, in alphabetical order.

    Raises:
        TypeError: a module does not define the class, or defines something else.
    """
    found: dict[str, type[T]] = {}
    for name, module, value in _defined(package, attribute):
        if not (isinstance(value, type) and issubclass(value, kind)):
            raise TypeError(
                f"`{module}` must define `{attribute}`, a subclass of `{kind.__name__}`; got {value!r}."
            )
        found[name] = value
    return found


def _defined(package: str, attribute: str) -> Iterator[tuple[str, str, object]]:
    """Yield each public module's name with hyphens, its dotted name and its object (None: it has none)."""
    root = importlib.import_module(package)
    for module in sorted(pkgutil.iter_modules(root.__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            name = f"{package}.{module.name}"
            yield module.name.replace("_", "-"), name, getattr(importlib.import_module(name), attribute, None)
