"""A figure as a file: JSON that opens again, here or in another lab, with its numbers and provenance."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from dashboard.figure_spec import require_harmless
from data.errors import LabError

KIND, VERSION = "detour figure", 1
LARGEST = 16 << 20
"""Bytes of a file."""
LONGEST = 20_000
"""Characters of any one text in it but the table."""
MOST_PLOTS = 12
MOST_PARAMETERS = 500


@dataclass(frozen=True)
class Provenance:
    """How a figure was computed.

    Attributes:
        query: what was asked of the store.
        formula: what was made of it, in words or symbols.
        code: version of the code that computed it.
        data: version of the data it was computed from.
        source: where the method comes from.
    """

    query: str
    formula: str
    code: str
    data: str
    source: str = ""


@dataclass(frozen=True)
class Place:
    """Where in the lab something is seen.

    Attributes:
        view: its name in the address.
        study: that it shows; "" for none.
        parameters: of the address, by name.
    """

    view: str
    study: str
    parameters: dict[str, list[str]]


@dataclass(frozen=True)
class Plot:
    """One of the plots that make a figure: Vega-Lite with its rows."""

    title: str
    alt_text: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure with all that stands around it.

    Attributes:
        plots: from left to right.
        caption: what the reader should know beside it.
        fidelity: which of the measured points are drawn; "" where that is no question.
        table: the rows that are drawn, as CSV.
        how: where the figure comes from.
        place: where it was seen.
        made_at: when it was drawn.
    """

    plots: tuple[Plot, ...]
    caption: str
    fidelity: str
    table: str
    how: Provenance
    place: Place
    made_at: datetime

    @property
    def frame(self) -> pd.DataFrame:
        """The table, as a frame."""
        return pd.read_csv(io.StringIO(self.table), keep_default_na=False, na_values=["", "nan"])


def to_json(figure: Figure) -> bytes:
    """Return the figure as a file."""
    told = {
        **vars(figure),
        "kind": KIND,
        "version": VERSION,
        "plots": [vars(plot) for plot in figure.plots],
        "how": vars(figure.how),
        "place": vars(figure.place),
        "made_at": figure.made_at.isoformat(),
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False).encode()


def from_json(content: bytes) -> Figure:
    """Return the figure that a file holds; what it holds is taken for hostile.

    Raises:
        LabError: it is too large, no figure, of a newer version, or its charts would do more than draw.
    """
    if len(content) > LARGEST:
        raise LabError(
            "The figure is too large",
            f"It has {len(content) / 2**20:.1f} MiB; {LARGEST >> 20} are taken.",
            "Draw fewer seeds or a narrower range.",
        )
    try:
        told = json.loads(content, parse_constant=_no_number)
        if not isinstance(told, dict) or told.get("kind") != KIND:
            raise ValueError("it does not say that it is a figure of Detour")
        if told.get("version") != VERSION:
            raise ValueError(f"it is of version {told.get('version')!r}, this lab reads {VERSION}")
        figure = _figure(told)
        if len(figure.frame) > LARGEST:  # reads the table, which may be none
            raise ValueError("its table is too long")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise LabError(
            "No figure", f"The file is no figure: {what[:200]}.", "Take one that Export, JSON has written."
        ) from error
    return figure


def _figure(told: Mapping[str, Any]) -> Figure:
    plots, how, place = told["plots"], told["how"], told["place"]
    if not isinstance(plots, list) or not 1 <= len(plots) <= MOST_PLOTS:
        raise ValueError(f"`plots` must be a list of 1 to {MOST_PLOTS}")
    view, parameters = _text(place, "view"), place["parameters"]
    if not re.fullmatch(r"[a-z_]{1,40}", view):
        raise ValueError("its view has a name that no view has")
    if not isinstance(parameters, dict) or len(parameters) > MOST_PARAMETERS:
        raise ValueError("`parameters` must be an object")
    table = told["table"]
    if not isinstance(table, str):
        raise ValueError("`table` must be text")
    moment = datetime.fromisoformat(_text(told, "made_at"))
    return Figure(
        plots=tuple(
            Plot(_text(plot, "title"), _text(plot, "alt_text"), require_harmless(plot["spec"]))
            for plot in plots
        ),
        caption=_text(told, "caption"),
        fidelity=_text(told, "fidelity"),
        table=table,
        how=Provenance(*(_text(how, name) for name in ("query", "formula", "code", "data", "source"))),
        place=Place(view, _text(place, "study"), {name: _texts(one) for name, one in parameters.items()}),
        made_at=moment if moment.tzinfo else moment.replace(tzinfo=UTC),
    )


def _text(told: Mapping[str, Any], name: str) -> str:
    text = told[name]
    if not isinstance(text, str) or len(text) > LONGEST:
        raise ValueError(f"`{name}` must be a text of at most {LONGEST:,} characters")
    return text


def _texts(told: Any) -> list[str]:
    if not isinstance(told, list) or not all(isinstance(one, str) and len(one) <= LONGEST for one in told):
        raise ValueError("a parameter must be a list of texts")
    return told


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
