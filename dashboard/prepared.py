"""A chart made once for the same data: building and checking one takes longer than sending it."""

import json
from typing import Any, NamedTuple

import altair as alt
import pandas as pd


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
    made = chart.copy(deep=False)
    made.layer = [layer.copy(deep=False) for layer in chart.layer]
    for part in (made, *made.layer):
        if isinstance(part.data, pd.DataFrame):
            name = next((name for name, one in named.items() if one is part.data), f"data{len(named)}")
            named[name] = part.data
            part.data = alt.NamedData(name=name)
    spec = made.to_dict(validate=False)
    if "data" in spec:  # what is said once, above, is not said again: below, nothing would mean no data
        for layer in spec["layer"]:
            layer.pop("data", None)
    return Prepared(spec, named)
