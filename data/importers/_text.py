"""What every format of text needs: a file's encoding, the text at its start, and names that differ."""

import codecs
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from data.importers._importer import HEAD, LogFile

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")


def encoding(file: LogFile) -> str | None:
    """Return the encoding of a text (utf-8-sig, utf-16, utf-8 or latin-1); None for what is no text."""
    return decoded(file.head, len(file.head) < HEAD)[0]


def head_text(file: LogFile) -> str:
    """Return the text that a file begins with, with line feeds; "" for what is no text.

    Of a file longer than its head only whole lines are given, where the head has one.
    """
    return decoded(file.head, len(file.head) < HEAD)[1]


@lru_cache(maxsize=8)
def decoded(head: bytes, whole: bool) -> tuple[str | None, str]:
    """Return the encoding and the text of a file's first bytes; a file cut off by a crash may end in NULs."""
    kept = head if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else head.rstrip(b"\0")
    for name in _encodings(kept):
        try:
            text = codecs.getincrementaldecoder(name)().decode(kept, final=whole)
        except UnicodeDecodeError:
            continue
        if _CONTROL.search(text) or (name == "latin-1" and re.search("[\x80-\x9f]", text)):
            continue
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return name, text if whole or "\n" not in text else text[: text.rindex("\n") + 1]
    return None, ""


def _encodings(head: bytes) -> Sequence[str]:
    """Name the encodings that bytes may have, the likeliest first."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    return ("utf-8-sig",) if head.startswith(codecs.BOM_UTF8) else ("utf-8", "latin-1")


def distinct(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give a later name that DuckDB takes for an earlier one (case does not count) a number.

    Returns:
        The names, and a note on those that were changed.
    """
    taken: dict[str, str] = {}
    notes = []
    for name in names:
        free, count = name, 1
        while free.lower() in taken:
            count += 1
            free = f"{name} ({count})"
        taken[free.lower()] = free
        if free != name:
            notes.append(f"The name `{name}` stands twice; the later column is called `{free}`.")
    return tuple(taken.values()), tuple(notes)
