"""Tokens by which programs reach the lab: shown once, kept as a hash, revoked at any time."""

import hashlib
import secrets
from datetime import UTC, datetime
from typing import get_args

from sqlalchemy import insert, select, update

from data import tables
from data.database import Database
from data.errors import LabError
from data.rows import Scope, TokenRow

PREFIX = "detour_"
"""What every token begins with, so that one that leaked is known for what it is."""


class TokenCatalog(Database):
    """Who may reach the lab without a browser."""

    def add_token(self, name: str, scope: Scope, person: str) -> tuple[TokenRow, str]:
        """Make a token, and return it with its text, which is kept nowhere.

        Args:
            name: what it is for.
            scope: what it may do.
            person: who made it.

        Raises:
            LabError: an empty name, or one that is too long.
            ValueError: no such scope.
        """
        if scope not in get_args(Scope):
            raise ValueError(f"`scope` must be one of {get_args(Scope)}; got {scope!r}.")
        if not name.strip() or len(name) > 200:
            raise LabError(
                "A token needs a name", "It must have 1 to 200 characters.", "Say what the token is for."
            )
        # 256 random bits: nobody guesses them, so a plain hash is enough and costs nothing at every call.
        text = PREFIX + secrets.token_urlsafe(32)
        values = {
            "name": name.strip(),
            "sha256": _hash(text),
            "scope": scope,
            "person": person,
            "created_at": datetime.now(UTC),
        }
        with self.writing() as connection:
            statement = insert(tables.tokens).values(values).returning(*_SHOWN)
            return TokenRow(**connection.execute(statement).mappings().one()), text

    def require_token(self, text: str, scope: Scope) -> TokenRow:
        """Return the token of this text, and note that it was used.

        Raises:
            LabError: there is none, it was revoked, or it may not do that. Which of these is not told.
        """
        token = tables.tokens
        valid = (token.c.sha256 == _hash(text)) & (token.c.scope == scope) & token.c.revoked_at.is_(None)
        with self.reading() as connection:
            row = connection.execute(select(*_SHOWN).where(valid)).mappings().first()
        if row is None:
            raise LabError(
                "Not allowed",
                "The token is unknown, was revoked, or is for something else.",
                "Have one made with `python -m engine token --add NAME`.",
            )
        found = TokenRow(**row)
        now = datetime.now(UTC)
        if found.last_used_at is None or (now - found.last_used_at).total_seconds() > 60:
            with self.writing() as connection:
                connection.execute(update(token).where(token.c.id == found.id).values(last_used_at=now))
        return found

    def revoke_token(self, id: int) -> TokenRow:
        """Let a token be of no use from now on.

        Raises:
            LabError: there is none of that number, or it was revoked.
        """
        token = tables.tokens
        with self.writing() as connection:
            valid = update(token).where(token.c.id == id, token.c.revoked_at.is_(None))
            statement = valid.values(revoked_at=datetime.now(UTC)).returning(*_SHOWN)
            row = connection.execute(statement).mappings().first()
        if row is None:
            raise LabError(
                "Unknown token",
                f"There is no token {id} that is valid.",
                "List the tokens to see their numbers.",
            )
        return TokenRow(**row)

    def tokens(self) -> list[TokenRow]:
        """Return every token, revoked ones too, the newest first; never their texts."""
        query = select(*_SHOWN).order_by(tables.tokens.c.id.desc())
        with self.reading() as connection:
            return [TokenRow(**row) for row in connection.execute(query).mappings()]


_SHOWN = tuple(column for column in tables.tokens.c if column.name != "sha256")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
