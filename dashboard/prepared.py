"""A chart made once for the same data: building and checking one takes longer than sending it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

from dashboard.charts.palette import MUTED


class Prepared(NamedTuple):
    """A chart as Vega-Lite, with its data beside it.

    Attributes:
        spec: names its data.
        data: frames by that name.
    """

    spec: dict[str, Any]
    data: dict[str, pd.DataFrame]

    @property
    def drawn(self) -> dict[str, Any]:
        """The whole, as ``st.vega_lite_chart`` takes it."""
        return {**self.spec, "datasets": self.data}

    @property
    def exported(self) -> dict[str, Any]:
        """The whole as JSON; what is not finite is null."""
        rows = {
            name: frame.to_json(orient="records", double_precision=15) for name, frame in self.data.items()
        }
        return {**self.spec, "datasets": {name: json.loads(text) for name, text in rows.items()}}


def prepare(chart: alt.LayerChart) -> Prepared:
    """Return a chart that needs no more work; it is not validated, which the tests of the charts do."""
    named: dict[str, pd.DataFrame] = {}
    spec: dict[str, Any] = _naming(chart, named).to_dict(validate=False)
    _say_once(spec)
    return Prepared(spec, named)


def _naming(chart: Any, named: dict[str, pd.DataFrame]) -> Any:
    """Return a chart that names its frames, which are put into `named`."""
    made = chart.copy(deep=False)
    if isinstance(made, alt.LayerChart):
        made.layer = [_naming(layer, named) for layer in chart.layer]
    if isinstance(made.data, pd.DataFrame):
        name = next((name for name, one in named.items() if one is made.data), f"data{len(named)}")
        named[name] = made.data
        made.data = alt.NamedData(name=name)
    return made


def _say_once(spec: dict[str, Any]) -> None:
    """Leave out what layers say of their data where it is said above them: nothing would mean no data."""
    for layer in spec.get("layer", []):
        if "data" in spec:
            layer.pop("data", None)
        _say_once(layer)


def beside(charts: Sequence[Prepared]) -> Prepared:
    """Return charts side by side as one, for an export."""
    parts, named = list[dict[str, Any]](), dict[str, pd.DataFrame]()
    for place, one in enumerate(charts):
        names = {name: f"{name}of{place}" for name in one.data}
        named |= {names[name]: frame for name, frame in one.data.items()}
        # Configuration and schema stand once, above.
        spec = {key: value for key, value in one.spec.items() if key not in ("config", "$schema")}
        parts.append(_renamed(spec, names))
    whole: dict[str, Any] = {
        key: charts[0].spec[key] for key in ("config", "$schema") if key in charts[0].spec
    }
    return Prepared({**whole, "hconcat": parts, "resolve": {"scale": {"color": "independent"}}}, named)


def marked(chart: Prepared, x: float) -> Prepared:
    """Return a chart of layers with a rule at a place along its horizontal axis."""
    rule = {
        "data": {"values": [{}]},
        "mark": {"type": "rule", "strokeWidth": 1.6, "strokeDash": [4, 3], "color": MUTED, "opacity": 1},
        "encoding": {"x": {"datum": x, "type": "quantitative"}},
    }
    return Prepared({**chart.spec, "layer": [*chart.spec["layer"], rule]}, chart.data)


def _renamed(spec: Any, names: Mapping[str, str]) -> Any:
    """Return a part of a specification whose data go by other names."""
    if isinstance(spec, dict):
        given = {key: _renamed(value, names) for key, value in spec.items()}
        data = given.get("data")
        if isinstance(data, dict) and data.get("name") in names:
            given["data"] = {**data, "name": names[data["name"]]}
        return given
    return [_renamed(part, names) for part in spec] if isinstance(spec, list) else spec
