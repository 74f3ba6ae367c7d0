"""How numbers and moments are put into words, the same in every view."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from data.errors import LabError
from engine.analysis.shuffling import Effect


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return "1 seed", "16 seeds", "412,000 points"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def escaped(text: str) -> str:
    r"""Return a name from a file so that Markdown shows it as it is, on one line.

    A backslash keeps punctuation from meaning anything; Streamlit also looks for ``:icon:``, links and arrows
    in the text that is left, so an invisible U+2060 parts these.
    """
    return _begun(_quiet(" ".join(text.split())))


def _begun(text: str) -> str:
    return re.sub(r"^(\d*)([-+.)=#>])", r"\1\\\2", text)


def _quiet(text: str) -> str:
    plain = re.sub(r"([\\`*<~$&]|:(?=\S)|\](?=[(:[])|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
    return re.sub(r"(:(?=\S)|@|www|-(?=[->])|[<>~](?=[-=]))", "\\1\u2060", plain)


def coded(text: str) -> str:
    """Return a name from a file as inline code, whatever backticks are in it."""
    line = " ".join(text.split()).replace(":material/", ":\u2060material/")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    gap = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{gap}{line}{gap}{fence}" if line else ""


def message(text: str) -> str:
    """Return what an error or a warning says: what stands in backticks is code, all else is plain text."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return _begun("".join(part if place % 2 else _quiet(part) for place, part in enumerate(parts)))


def failure(error: LabError | Mapping[str, str]) -> str:
    """Return an error as Markdown: its title, what happened to what, and what to do."""
    told = error if isinstance(error, Mapping) else vars(error)
    return f"**{message(told['title'])}.** {message(told['message'])}\n\n{message(told['remedy'])}"


def significant(value: float | None, digits: int = 3) -> str:
    """Return a value at a number of significant digits, in plain notation where that stays short."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    size = int(f"{abs(value):.{digits - 1}e}".partition("e")[2])  # once rounded: 9.99996e-6 is 10⁻⁵
    if -4 <= size < 6:
        return f"{value:,.{max(digits - 1 - size, 0)}f}".replace("-", "−")
    mantissa = f"{value / 10**size:.{digits - 1}f}".replace("-", "−")
    return f"{mantissa}×10{str(size).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def p_value(p: float) -> str:
    """Return "p = 0.0313" or "p = 3.1×10⁻⁵"."""
    return f"p = {significant(p, 2 if p < 0.001 else 3)}"


def duration(seconds: float | None) -> str:
    """Return "42 s", "3 min 20 s", "2 h 5 min"."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(moment: datetime) -> str:
    """Return how long ago a moment was, in words."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    return f"{int(seconds // 3600)} h ago" if seconds < 86400 else moment.strftime("%d %b %Y")


def spans(numbers: Iterable[int]) -> str:
    """Return sorted whole numbers as short text: "0..7, 12"."""
    ordered = sorted(set(numbers))
    parts: list[str] = []
    start = 0
    for index, number in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != number + 1:
            first = ordered[start]
            parts.append(
                f"{first}..{number}"
                if number > first + 1
                else ", ".join(map(str, ordered[start : index + 1]))
            )
            start = index + 1
    return ", ".join(parts)


def interval(low: float | None, high: float | None) -> str:
    """Return "[0.065, 0.078]", or nothing where an interval has no ends."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{significant(low)}, {significant(high)}]"


def ratio_text(effect: Effect) -> str:
    """Return "0.071 [0.065, 0.078]", the ratio of the arms with its interval."""
    ends = interval(math.exp(effect.low), math.exp(effect.high))
    return f"{significant(math.exp(effect.estimate))} {ends}".rstrip()


def sentence(parts: Iterable[str]) -> str:
    """Join the parts that are not empty, each ended by a full stop."""
    return " ".join(f"{part.rstrip('.')}." for part in parts if part)
