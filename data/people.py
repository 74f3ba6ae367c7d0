"""Who does something in the lab, and what they may do; every change of the catalogue asks here first."""

from collections.abc import Collection
from dataclasses import dataclass
from getpass import getuser
from typing import Literal

from data.errors import LabError

Role = Literal["viewer", "researcher", "admin"]
Right = Literal["researcher", "admin", "machine"]

ROLES: dict[Role, str] = {
    "viewer": "sees and exports everything, changes nothing",
    "researcher": "trains, fits, imports, notes and shares; stops, archives and deletes their own",
    "admin": "does all of this with everybody's, and looks after people, storage and limits",
}
"""What each role may do, in the order of their power."""


@dataclass(frozen=True)
class Person:
    """Somebody who acts on a lab.

    Attributes:
        name: the address by which they sign in, in lower case; of a local person the account's name.
        role: what they may do.
        local: whether they reach the lab's files themselves, so that nothing here could hold them back:
            the command line, a job, the server's own work.
        study: the only study they may see, of somebody who holds a public link; None: all of them.
    """

    name: str
    role: Role
    local: bool = False
    study: str | None = None

    def may(self, right: Right) -> bool:
        """Whether this person may do what needs `right`; "machine" is what only the lab's own work does."""
        if self.local:
            return True
        return right != "machine" and list(ROLES).index(self.role) >= list(ROLES).index(right)

    def require(self, right: Right) -> None:
        """Refuse what this person may not do.

        Raises:
            LabError: they may not.
        """
        if self.may(right):
            return
        raise LabError(
            "Not allowed",
            f"This needs the role {'admin' if right == 'machine' else right}; {self.name} is {self.role}.",
            "Ask an administrator of the lab for it.",
        )

    def require_own(self, owners: Collection[str], what: str) -> None:
        """Refuse to change what belongs to others, unless as an administrator.

        Args:
            owners: to whom it belongs; "" where nobody is known, which is nobody's own.
            what: that is to be changed, for the message, for example "job 7".

        Raises:
            LabError: some of it is another person's.
        """
        others = sorted({owner or "somebody unknown" for owner in owners if owner != self.name})
        if others and not self.may("admin"):
            raise LabError(
                "It is somebody else's",
                f"{what[:1].upper()}{what[1:]} belongs to {', '.join(others[:3])}.",
                "Ask them, or an administrator of the lab.",
            )

    def require_study(self, study: str) -> None:
        """Refuse a study that this person may not see.

        Raises:
            LabError: they hold a public link to another one.
        """
        if self.study is not None and study != self.study:
            raise LabError("Not allowed", "The link shows one study only.", "Sign in to see the lab.")

    def within(self, study: str | None) -> str | None:
        """Return the study to which a question is held: what was asked for, or all that this person may see.

        Raises:
            LabError: they may not see the study that was asked for.
        """
        if study is None:
            return self.study
        self.require_study(study)
        return study


def local_person() -> Person:
    """Return the person of this account, who can reach the lab's files and so may do everything."""
    try:
        name = getuser()
    except (OSError, KeyError):  # an account without a name, as containers have
        name = "local"
    return Person(name, "admin", local=True)
