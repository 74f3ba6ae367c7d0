"""The studies of this lab: what is trained, in which arms, and the claim that it tests."""

from functools import cache

from data.errors import LabError
from engine.plugins import discover
from engine.studies._study import Arm, Comparison, Study

__all__ = ["Arm", "Comparison", "Study", "studies", "study"]


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
