"""SQL of staged cells, read as what a column was taken as."""

from collections.abc import Sequence

from data.importing.roles import Choice


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


def joined_text(chosen: Sequence[Choice], role: str) -> str:
    """Return SQL of the text of all columns of a role, joined; NULL where there is none."""
    places = [i for i, one in enumerate(chosen) if one.role == role]
    return f"concat_ws('/', {', '.join(text_of(i) for i in places)})" if places else "NULL"


def moment_of(place: int | None) -> str:
    """Return SQL of a moment, in seconds since 1970; numbers that large are milliseconds."""
    if place is None:
        return "NULL::DOUBLE"
    v = f"v{place}"
    seconds = f"CASE WHEN abs({v}) > 1e11 THEN {v} / 1000 ELSE {v} END"
    return f"coalesce({seconds}, epoch(TRY_CAST(s{place} AS TIMESTAMPTZ)))"
