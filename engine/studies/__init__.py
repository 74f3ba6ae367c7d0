"""The studies of this lab: what is trained, in which arms, the claim that it tests, and how it is judged."""

import importlib
from collections.abc import Callable
from functools import cache

from data.errors import LabError
from data.plugins import discover
from data.store import Store
from engine.studies._evidence import Evidence
from engine.studies._study import Arm, Comparison, Study
from engine.studies._verdict import Detail, Verdict, compare, conclude

__all__ = [
    "Arm",
    "Comparison",
    "Detail",
    "Evidence",
    "Study",
    "Verdict",
    "compare",
    "conclude",
    "studies",
    "study",
    "verdict",
]


@cache
def studies() -> dict[str, Study]:
    """Return every study by name; a study is one file of this package that defines ``STUDY``."""
    found = discover("engine.studies", "STUDY", Study)
    for name, definition in found.items():
        if definition.name != name:
            raise TypeError(
                f"`engine/studies` has `{definition.name}` in the file of `{name}`; the two must agree."
            )
    return found


def study(name: str) -> Study:
    """Return the study of that name.

    Raises:
        LabError: there is no such study; the message names those there are.
    """
    known = studies()
    if name not in known:
        raise LabError(
            "Unknown study",
            f"There is no study `{name}`.",
            f"Choose one of: {', '.join(known)}. A new study is one new file in engine/studies.",
        )
    return known[name]


def verdict(name: str) -> Callable[[Store], Verdict] | None:
    """Return what judges a study by the runs of a store; None where its file defines no ``verdict``.

    Args:
        name: a study, or one with changed settings: `wu-regression@lr=0.1` is judged as `wu-regression` is,
            on its own runs. What is returned raises a ``LabError`` where a store has no runs of it.
    """
    base = name.partition("@")[0]
    if base not in studies():
        return None
    module = importlib.import_module(f"engine.studies.{base.replace('-', '_')}")
    judge: Callable[[Evidence], Verdict] | None = getattr(module, "verdict", None)
    return None if judge is None else lambda store: judge(Evidence(store, name))
