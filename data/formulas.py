"""Guards cells of CSV files: a spreadsheet takes text that begins like a formula for one, and runs it."""

import re
from typing import Any

_BEGINS = r"^[=+\-@\t\r\n|%]"


def guarded(cell: Any) -> Any:
    """Return a cell; text that begins with = + - @ | % or a control character gets an apostrophe in front."""
    return f"'{cell}" if isinstance(cell, str) and re.match(_BEGINS, cell) else cell


def guarded_sql(column: str) -> str:
    """Return SQL of the same for a column of text."""
    return f"CASE WHEN regexp_matches({column}, '{_BEGINS}') THEN '''' || {column} ELSE {column} END"
