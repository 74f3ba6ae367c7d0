"""Who is using the lab, and what they may do; alone on this machine, everything."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["viewer", "researcher", "admin"]


@dataclass(frozen=True)
class Access:
    """One person's standing; views ask it, and the houses below check again where the work is done."""

    name: str
    role: Role

    @property
    def may_change(self) -> bool:
        """Whether this person may train, stop, tag, archive and delete."""
        return self.role != "viewer"


def alone() -> Access:
    """Return the access of a person who runs the lab on their own machine, without a sign-in."""
    return Access("you", "admin")
