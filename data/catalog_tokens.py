"""Tokens by which programs reach the lab: shown once, kept as a hash, revoked at any time."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import get_args

from sqlalchemy import insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import Scope, TokenRow

PREFIX = "detour_"
"""What every token begins with, so that one that leaked is known for what it is."""


SCOPES: dict[Scope, str] = {
    "log": "writes runs that log themselves",
    "read": "reads studies, jobs and rows",
    "run": "reads, and starts and stops jobs",
}
"""What each scope may do."""


class TokenCatalog(Database):
    """Who may reach the lab without a browser."""

    def add_token(self, name: str, scope: Scope, days: int | None = None) -> tuple[TokenRow, str]:
        """Make a token, and return it with its text, which is kept nowhere.

        Args:
            name: what it is for.
            scope: what it may do, never more than who makes it.
            days: after how many it is of no use; None for never.

        Raises:
            LabError: an empty name, one that is too long, or whoever acts may make none.
            ValueError: no such scope, or less than a day.
        """
        if scope not in get_args(Scope):
            raise ValueError(f"`scope` must be one of {get_args(Scope)}; got {scope!r}.")
        if days is not None and not 1 <= days <= 3650:
            raise ValueError(f"`days` must be 1 to 3650; got {days}.")
        if not name.strip() or len(name) > 200:
            raise LabError(
                "A token needs a name", "It must have 1 to 200 characters.", "Say what the token is for."
            )
        # 256 random bits: nobody guesses them, so a plain hash is enough and costs nothing at every call.
        text = PREFIX + secrets.token_urlsafe(32)
        now = datetime.now(UTC)
        values = {
            "name": name.strip(),
            "sha256": _hash(text),
            "scope": scope,
            "person": self.person.name,
            "created_at": now,
            "expires_at": None if days is None else now + timedelta(days=days),
        }
        with self.writing("researcher") as connection:
            statement = insert(tables.tokens).values(values).returning(*_SHOWN)
            row = TokenRow(**connection.execute(statement).mappings().one())
            self.audit(connection, "make token", row.name, token=row.id, scope=scope)
            return row, text

    def require_token(self, text: str, *scopes: Scope) -> TokenRow:
        """Return the token of this text, and note that it was used.

        Raises:
            LabError: there is none, it was revoked, it is too old, or it has none of these scopes. Which of
                these is not told.
        """
        token, now = tables.tokens, datetime.now(UTC)
        valid = (token.c.sha256 == _hash(text)) & token.c.scope.in_(scopes) & token.c.revoked_at.is_(None)
        valid &= token.c.expires_at.is_(None) | (token.c.expires_at > now)
        with self.reading() as connection:
            row = connection.execute(select(*_SHOWN).where(valid)).mappings().first()
        if row is None:
            raise LabError(
                "Not allowed",
                "The token is unknown, was revoked, is too old, or is for something else.",
                "Have one made in the view Admin, or with `python -m engine token --add NAME`.",
            )
        found = TokenRow(**row)
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > 60:
            with self.writing("machine") as connection:
                connection.execute(update(token).where(token.c.id == found.id).values(last_used_at=now))
        return found

    def revoke_token(self, id: int) -> TokenRow:
        """Let a token be of no use from now on.

        Raises:
            LabError: there is none of that number, it was revoked, or it is somebody else's.
        """
        token = tables.tokens
        with self.writing("researcher") as connection:
            owner = connection.execute(select(token.c.person).where(token.c.id == id)).scalar()
            self.person.require_own([] if owner is None else [owner], f"token {id}")
            valid = update(token).where(token.c.id == id, token.c.revoked_at.is_(None))
            statement = valid.values(revoked_at=datetime.now(UTC)).returning(*_SHOWN)
            row = connection.execute(statement).mappings().first()
            if row is None:
                raise LabError(
                    "Unknown token",
                    f"There is no token {id} that is valid.",
                    "List the tokens to see their numbers.",
                )
            self.audit(connection, "revoke token", str(row["name"]), token=id)
        return TokenRow(**row)

    def tokens(self) -> list[TokenRow]:
        """Return tokens, revoked ones too, the newest first; never their texts.

        An administrator gets everybody's, others their own.
        """
        query = select(*_SHOWN).order_by(tables.tokens.c.id.desc())
        if not self.person.may("admin"):
            query = query.where(tables.tokens.c.person == self.person.name)
        with self.reading() as connection:
            return [TokenRow(**row) for row in connection.execute(query).mappings()]


_SHOWN = tuple(column for column in tables.tokens.c if column.name != "sha256")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
