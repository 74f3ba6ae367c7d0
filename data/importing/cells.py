"""SQL of staged cells, read as what a column was taken as."""

from collections.abc import Sequence

from data.importing.roles import Choice

EXACT = 2**53 - 1
"""Up to which a double tells all whole numbers apart."""


def place_of(chosen: Sequence[Choice], role: str) -> int | None:
    """Return the place of the column of a role."""
    return next((i for i, one in enumerate(chosen) if one.role == role), None)


def text_of(place: int | None) -> str:
    """Return SQL of a column as text, whole numbers without a point."""
    if place is None:
        return "NULL"
    v = f"v{place}"
    whole = f"{v} = floor({v}) AND abs({v}) < 1e15"
    return f"coalesce(s{place}, CASE WHEN {whole} THEN {v}::BIGINT::VARCHAR ELSE {v}::VARCHAR END)"


def seed_of(place: int | None) -> str:
    """Return SQL of a seed; NULL where the cell holds none."""
    if place is None:
        return "NULL"
    v = f"v{place}"
    return f"CASE WHEN {v} >= 0 AND {v} = floor({v}) AND {v} <= {EXACT} THEN TRY_CAST({v} AS BIGINT) END"


def joined_text(chosen: Sequence[Choice], role: str) -> str:
    """Return SQL of the text of all columns of a role, joined; NULL where there is none."""
    places = [i for i, one in enumerate(chosen) if one.role == role]
    return f"concat_ws('/', {', '.join(text_of(i) for i in places)})" if places else "NULL"


def moment_of(place: int | None) -> str:
    """Return SQL of a moment, in seconds since 1970.

    Numbers too large for the years up to 5138 are milliseconds, microseconds or nanoseconds.
    """
    if place is None:
        return "NULL::DOUBLE"
    v = f"v{place}"
    units = " ".join(f"WHEN abs({v}) > 1e{8 + power} THEN {v} / 1e{power}" for power in (9, 6, 3))
    seconds = f"CASE {units} ELSE {v} END"
    return f"coalesce({seconds}, epoch(TRY_CAST(s{place} AS TIMESTAMPTZ)))"
