"""Figures as files: what is written comes back, and what a stranger wrote does nothing but draw."""

import copy
import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from dashboard import figure
from dashboard.charts import sparkline
from dashboard.figure_files import LARGEST, Figure, Place, Plot, Provenance, from_json, to_json
from dashboard.figure_spec import require_harmless
from dashboard.prepared import prepare
from data.errors import LabError

FRAME = pd.DataFrame(
    {
        "arm": ["SS", "NA", "=1"],
        "x": [0, 1, 2],
        "median": [0.1, 1e-300, 1 / 3],
        "q25": 0.1,
        "q75": float("inf"),
    }
)


def made() -> Figure:
    bands = FRAME[["arm", "x", "median", "q25"]].assign(q75=0.2)
    spec = prepare(sparkline.chart(bands, ["SS", "NA"], log=True)).exported
    place = Place("traces", "digits", {"study": ["digits"], "arms": ["SS", "NA"]})
    return Figure(
        (Plot("", "A risk.", spec),), "A caption.", "all 3 points", figure.safe_csv(FRAME).decode(),
        Provenance("bands()", "median", "1.0", "abc", "Ours"), place, datetime.now(UTC),
    )  # fmt: skip


def test_a_figure_comes_back_as_it_was() -> None:
    kept = made()
    back = from_json(to_json(kept))
    assert (back.caption, back.how, back.place, back.made_at) == (
        kept.caption, kept.how, kept.place, kept.made_at,
    )  # fmt: skip
    assert back.table == kept.table
    assert back.plots[0].spec["datasets"] == kept.plots[0].spec["datasets"]
    assert back.plots[0].spec["layer"] == kept.plots[0].spec["layer"]
    assert list(back.frame["median"]) == list(FRAME["median"])
    assert list(back.frame["arm"]) == ["SS", "NA", "'=1"]
    assert to_json(back) == to_json(from_json(to_json(back)))


HOSTILE = {
    "an address of data": {"data": {"url": "http://evil.example/x.json"}},
    "data by a format of its own": {"data": {"values": [], "format": {"type": "topojson"}}},
    "endless data": {"data": {"sequence": {"start": 0, "stop": 1e12}}},
    "a picture": {"mark": {"type": "image", "url": "http://evil.example/x.png"}},
    "a picture's address in a channel": {"encoding": {"url": {"field": "arm"}}},
    "a link": {"encoding": {"href": {"value": "javascript:alert(1)"}}},
    "a picture in a tooltip": {"encoding": {"tooltip": [{"field": "arm", "title": "image"}]}},
    "options of the page": {"usermeta": {"embedOptions": {"patch": "http://evil.example"}}},
    "a signal": {"width": {"signal": "1"}},
    "a signal of another": {"params": [{"name": "p", "bind": {"element": "#root"}}]},
    "a code in a filter": {"transform": [{"filter": "event.view.alert(1)"}]},
    "a code in a nested filter": {"transform": [{"filter": {"and": ["datum.x > 1", "window['a']"]}}]},
    "a code in a label": {"encoding": {"x": {"axis": {"labelExpr": "toString(scale('x'))"}}}},
    "the way to a constructor": {"transform": [{"calculate": "datum['constructor']", "as": "x"}]},
    "an event's code": {"params": [{"name": "p", "select": {"type": "point", "on": "click[alert(1)]"}}]},
    "data of elsewhere": {"transform": [{"lookup": "x", "from": {"data": {"url": "http://evil.example"}}}]},
    "an address in a colour": {"mark": {"type": "bar", "fill": "url(http://evil.example/#x)"}},
    "a forged name": {"encoding": {"__proto__": {"x": 1}}},
    "a format that runs": {"encoding": {"x": {"axis": {"formatType": "mine"}}}},
    "a map": {"mark": "geoshape", "projection": {"type": "mercator"}},
    "a row with more in it": {"datasets": {"d": [{"x": {"toString": "y"}}]}},
    "a picture's column": {"datasets": {"d": [{"image": "http://evil.example/x.png"}]}},
    "an address in a row": {"datasets": {"d": [{"c": "URL (//evil.example)"}]}},
    "rows that are none": {"datasets": {"d": "x"}},
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_would_do_more_than_draw_is_refused(what: str) -> None:
    spec = made().plots[0].spec
    require_harmless(spec)
    for hostile in ({**spec, **HOSTILE[what]}, {**spec, "layer": [*spec["layer"], HOSTILE[what]]}):
        if "datasets" in HOSTILE[what] and hostile["datasets"] is spec["datasets"]:
            continue
        told = json.loads(to_json(made()))
        told["plots"][0]["spec"] = hostile
        with pytest.raises(LabError, match="would do more than draw"):
            from_json(json.dumps(told).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"kind": "detour figure", "version": 2}',
        b'{"kind": "detour figure", "version": 1}', b'{"kind": "detour figure", "version": 1, "plots": NaN}',
    ],
)  # fmt: skip
def test_what_is_no_figure_is_told_so(content: bytes) -> None:
    with pytest.raises(LabError, match="No figure"):
        from_json(content)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("plots", []), ("plots", [{}]), ("plots", {"a": 1}), ("table", 3), ("table", ""), ("caption", None),
        ("caption", "x" * 30_000), ("how", []), ("made_at", "yesterday"), ("place", {"view": "../x"}),
        ("place", {"view": "traces", "study": "", "parameters": {"a": "b"}}),
        ("place", {"view": "https://evil.example", "study": "", "parameters": {}}),
    ],
)  # fmt: skip
def test_a_part_that_cannot_be_is_told_so(part: str, value: object) -> None:
    told = copy.deepcopy(json.loads(to_json(made())))
    told[part] = value
    with pytest.raises(LabError):
        from_json(json.dumps(told).encode())


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(LabError, match="16 are taken"):
        from_json(b" " * (LARGEST + 1))
