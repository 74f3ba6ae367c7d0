"""The views: one file each, found by listing this folder; each answers the question it states."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from dashboard.lab import Lab


@dataclass(frozen=True)
class View:
    """One page: its name in the address, what it is called, the question it answers and what draws it."""

    name: str
    title: str
    icon: str
    question: str
    order: int
    render: Callable[[Lab], None]


def views() -> list[View]:
    """Return every view in the order of the navigation.

    Raises:
        TypeError: a file here lacks one of TITLE, ICON, QUESTION, ORDER, render.
    """
    found = []
    for module in pkgutil.iter_modules(__path__):
        name = f"{__name__}.{module.name}"
        loaded = importlib.import_module(name)
        missing = [
            part for part in ("TITLE", "ICON", "QUESTION", "ORDER", "render") if not hasattr(loaded, part)
        ]
        if missing:
            raise TypeError(f"`{name}` must define {', '.join(f'`{part}`' for part in missing)}.")
        found.append(
            View(module.name, loaded.TITLE, loaded.ICON, loaded.QUESTION, loaded.ORDER, loaded.render)
        )
    return sorted(found, key=lambda view: (view.order, view.name))
