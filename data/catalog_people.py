"""Who may sign in, in which role, and what everybody changed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from sqlalchemy import insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.people import ROLES, Person, Role
from data.rows import AuditRow, PersonRow, TokenRow

SEEN_EVERY = timedelta(minutes=5)
"""How often it is written down that somebody is there."""


@dataclass(frozen=True)
class Invited:
    """Whom the lab lets in, besides those whom an administrator added.

    Attributes:
        domains: everybody with an address of one of these.
        people: these addresses.
        admins: these addresses, always as administrators.
        role: of those who come by a domain or an address, until an administrator gives them another.
    """

    domains: Collection[str] = ()
    people: Collection[str] = ()
    admins: Collection[str] = ()
    role: Role = "viewer"


class PeopleCatalog(Database):
    """People, their roles and the audit."""

    def arrive(self, address: str, shown_as: str, invited: Invited) -> Person:
        """Return who somebody is that the provider vouches for; the first time, write them down.

        Args:
            address: e-mail address, verified by the provider.
            shown_as: the name that they go by.
            invited: whom the lab lets in.

        Raises:
            LabError: they are not invited, or were shut out.
        """
        name = address.strip().lower()
        domain = name.rpartition("@")[2]
        chief = name in {each.lower() for each in invited.admins}
        welcome = (
            chief
            or name in {each.lower() for each in invited.people}
            or ("@" in name and domain in {each.lower() for each in invited.domains})
        )
        people, now = tables.people, datetime.now(UTC)
        with self.reading() as connection:
            row = connection.execute(select(people).where(people.c.name == name)).mappings().first()
        known = None if row is None else PersonRow(**row)
        if (known is None and not welcome) or (known is not None and known.shut_out_at and not chief):
            raise LabError(
                "You are not invited to this lab",
                f"You are signed in as {name}.",
                "Ask an administrator of the lab to add you, or sign in with another account.",
            )
        role: Role = "admin" if chief else known.role if known is not None else invited.role
        if known is None:
            with self.writing("machine") as connection:
                values = {"name": name, "shown_as": shown_as[:200] or name, "role": role, "limits": {}}
                connection.execute(insert(people).values(**values, created_at=now, seen_at=now))
                self.acting_as(Person(name, role)).audit(connection, "sign in", name, first=True)
        elif known.seen_at is None or now - known.seen_at > SEEN_EVERY:
            with self.writing("machine") as connection:
                connection.execute(update(people).where(people.c.name == name).values(seen_at=now))
        return Person(name, role)

    def bearer(self, token: TokenRow) -> Person:
        """Return who acts by a token: its maker, with no more rights than the token's scope.

        Raises:
            LabError: they were shut out, or signed in once and are gone.
        """
        scope: Role = "viewer" if token.scope == "read" else "researcher"
        query = select(tables.people).where(tables.people.c.name == token.person)
        with self.reading() as connection:
            row = connection.execute(query).mappings().first()
        if row is None and "@" not in token.person:  # an account of this machine made it
            return Person(token.person, scope)
        if row is None or row["shut_out_at"] is not None:
            raise LabError("Not allowed", f"{token.person} may not use this lab.", "Ask an administrator.")
        return Person(token.person, min(scope, row["role"], key=list(ROLES).index))

    def people(self) -> list[PersonRow]:
        """Return everybody who signed in or was added, by name.

        Raises:
            LabError: whoever asks is no administrator.
        """
        self.person.require("admin")
        with self.reading() as connection:
            rows = connection.execute(select(tables.people).order_by(tables.people.c.name)).mappings()
            return [PersonRow(**row) for row in rows]

    def set_role(self, address: str, role: Role) -> None:
        """Give somebody a role, whether they signed in before or not; who was shut out may come again.

        Raises:
            LabError: whoever asks is no administrator, or it is no address.
            ValueError: no such role.
        """
        if role not in get_args(Role):
            raise ValueError(f"`role` must be one of {get_args(Role)}; got {role!r}.")
        name = address.strip().lower()
        if "@" not in name.strip("@") or any(character.isspace() for character in name) or len(name) > 200:
            raise LabError(
                "Not an address",
                f"`{name[:80]}` is no e-mail address.",
                "Give the address by which they sign in, for example ada@lab.example.",
            )
        people = tables.people
        with self.writing("admin") as connection:
            again = update(people).where(people.c.name == name).values(role=role, shut_out_at=None)
            if connection.execute(again.returning(people.c.name)).first() is None:
                values = {"name": name, "shown_as": name, "role": role, "limits": {}}
                connection.execute(insert(people).values(**values, created_at=datetime.now(UTC)))
            self.audit(connection, "set role", name, role=role)

    def shut_out(self, name: str) -> None:
        """Let somebody in no more: their next click, link or token is refused; what they made stays.

        Raises:
            LabError: whoever asks is no administrator or is the person, or nobody has this name.
        """
        people = tables.people
        with self.writing("admin") as connection:
            if name == self.person.name:
                raise LabError("That is you", f"You are {name}.", "Ask another administrator.")
            statement = update(people).where(people.c.name == name).values(shut_out_at=datetime.now(UTC))
            if connection.execute(statement.returning(people.c.name)).first() is None:
                raise LabError(
                    "Nobody has this name", f"`{name}` never signed in.", "See the list of people."
                )
            self.audit(connection, "shut out", name)

    def set_limits(self, name: str, limits: dict[str, Any]) -> None:
        """Give somebody limits of their own in place of the lab's; an empty dict takes them back.

        Raises:
            LabError: whoever asks is no administrator, or nobody has this name.
        """
        people = tables.people
        with self.writing("admin") as connection:
            statement = update(people).where(people.c.name == name).values(limits=limits)
            if connection.execute(statement.returning(people.c.name)).first() is None:
                raise LabError(
                    "Nobody has this name", f"`{name}` never signed in.", "See the list of people."
                )
            self.audit(connection, "set limits", name, **limits)

    def limits_of(self, name: str) -> dict[str, Any]:
        """Return the limits that somebody has in place of the lab's."""
        query = select(tables.people.c.limits).where(tables.people.c.name == name)
        with self.reading() as connection:
            return dict(connection.execute(query).scalar() or {})

    def audited(self, limit: int = 200, before: int | None = None) -> list[AuditRow]:
        """Return the latest changes, the newest first; `before` is the id of the last one seen.

        Raises:
            LabError: whoever asks is no administrator.
        """
        self.person.require("admin")
        query = select(tables.audit).order_by(tables.audit.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(tables.audit.c.id < before)
        with self.reading() as connection:
            return [AuditRow(**row) for row in connection.execute(query).mappings()]
