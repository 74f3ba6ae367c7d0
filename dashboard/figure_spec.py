"""Whether a chart from a file only draws: fetches nothing, and computes with its own numbers alone."""

import re
from typing import Any

from data.errors import LabError

MARKS = ("area", "bar", "circle", "line", "point", "rect", "rule", "square", "text", "tick", "trail")
TRANSFORMS = ("as", "calculate", "filter")
DEEPEST = 40

# What a chart would reach out with: addresses, the page around it, values of other views.
_NEVER = {"url", "href", "src", "usermeta", "signal", "signals", "loader", "projection", "sequence", "lookup"}
_FORGED = {"__proto__", "constructor", "prototype"}
_EXPRESSIONS = {"expr", "calculate", "filter", "labelExpr", "test", "and", "or", "not"}
_EVENTS = {"on", "clear", "translate", "zoom"}
_BOUND = ("legend", "scales")
_TOKEN = re.compile(
    r"\s+|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|'[^'\\]*'|\"(?:[^\"\\]|\\.)*\"|datum\.(?!__|constructor\b)\w+"
    r"|(?:height|width|random|abs|floor|pow|isValid|isFinite|format|replace|true|false|null)\b|[-+*/%()\[\]<>=!&|?:,]"
)
_ADDRESS = re.compile(r"url\s*\(|\w+://|^\s*(?:javascript|data):", re.IGNORECASE)


def require_harmless(spec: Any) -> dict[str, Any]:
    """Return a Vega-Lite specification that draws its own rows and does nothing else.

    Raises:
        LabError: it is none, or would load something, run more than arithmetic, or reach outside its frame.
    """
    if not isinstance(spec, dict):
        raise _refused("a chart is an object")
    held = {key: value for key, value in spec.items() if key not in ("$schema", "datasets")}
    _look(held, 0)
    datasets = spec.get("datasets", {})
    if not isinstance(datasets, dict):
        raise _refused("`datasets` is no object")
    for name, rows in datasets.items():
        _require_name(name)
        _require_rows(rows)
    return {"$schema": "https://vega.github.io/schema/vega-lite/v6.json", **held, "datasets": datasets}


def _look(part: Any, depth: int, key: str = "") -> None:
    if depth > DEEPEST:
        raise _refused("it is nested too deeply")
    if isinstance(part, dict):
        for name, value in part.items():
            _require_name(name)
            _require_allowed(name, value)
            if name == "data" and isinstance(value, dict) and isinstance(value.get("values"), list):
                _require_rows(value["values"])
                value = {other: told for other, told in value.items() if other != "values"}
            _look(value, depth + 1, name)
    elif isinstance(part, list):
        for one in part:
            _look(one, depth + 1, key)
    elif isinstance(part, str):
        if key in _EXPRESSIONS:
            _require_arithmetic(part)
        if key in _EVENTS and not re.fullmatch(r"[\w, ]*", part):
            raise _refused(f"it listens to `{part[:60]}`")
        # The tooltips of Vega show what is called so as a picture from an address.
        if part == "image" or _ADDRESS.search(part):
            raise _refused(f"it would load `{part[:60]}`")


def _require_name(name: str) -> None:
    if name in _FORGED:
        raise _refused(f"`{name}` is no name")


def _require_allowed(name: str, value: Any) -> None:
    if name in _NEVER:
        raise _refused(f"it has `{name}`")
    if name == "bind" and value not in _BOUND:
        raise _refused("it reads what stands elsewhere on the page")
    if name == "formatType" and value not in ("number", "time"):
        raise _refused("it has a format of its own")
    if name == "mark":
        kind = value.get("type") if isinstance(value, dict) else value
        if kind not in MARKS:
            raise _refused(f"it draws `{str(kind)[:40]}`")
    if name == "transform":
        steps = value if isinstance(value, list) else [value]
        if not all(isinstance(step, dict) and set(step) <= set(TRANSFORMS) for step in steps):
            raise _refused("it transforms its rows in a way that no figure of a lab does")
    if name == "data" and not (
        value is None or (isinstance(value, dict) and set(value) <= {"name", "values"})
    ):
        raise _refused("its rows are elsewhere")


def _require_arithmetic(text: str) -> None:
    if any(word in text for word in _FORGED):
        raise _refused(f"it computes `{text[:60]}`")
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _refused(f"it computes `{text[:60]}`")
        at = found.end()


def _require_rows(rows: Any) -> None:
    if not isinstance(rows, list):
        raise _refused("its rows are no list")
    for row in rows:
        if not isinstance(row, dict):
            raise _refused("a row is no object")
        for name, cell in row.items():
            _require_name(name)
            if name == "image" or not (cell is None or isinstance(cell, str | int | float)):
                raise _refused(f"its rows have a column `{name[:40]}` that is no numbers and no words")
            if isinstance(cell, str) and re.search(r"url\s*\(", cell, re.IGNORECASE):
                raise _refused(f"it would load `{cell[:60]}`")


def _refused(what: str) -> LabError:
    return LabError("The figure is not shown", f"It would do more than draw: {what}.", "Export it again.")
