"""A prepared chart is the chart: the same layers, each with the rows that it had."""

import math

import numpy as np
import pandas as pd
import pytest

from dashboard import figure
from dashboard.charts import paired_seeds, sparkline, traces
from dashboard.prepared import beside, marked, prepare

ROWS = pd.DataFrame({"arm": ["SS", "RR"] * 20, "x": np.repeat(np.arange(1.0, 21.0), 2)})


def many(event=None):
    lines = ROWS.assign(seed=0, run=1, value=1 / ROWS["x"], kind="finite")
    lines.loc[3, ["value", "kind"]] = [math.nan, "nan"]
    bands = ROWS.assign(centre=1 / ROWS["x"], low=0.5 / ROWS["x"], high=2 / ROWS["x"], n=4)
    return traces.chart(lines, bands, ["SS", "RR"], "Step", "Risk", log=True, event=event)


def aligned():
    """A chart of layers within a layer."""
    return many("red")


def small():
    return sparkline.chart(ROWS.assign(median=1 / ROWS["x"], q25=0.1, q75=2.0), ["SS", "RR"], log=True)


def seeds():
    levels = pd.DataFrame({"arm": ["SS", "RR"], "pair": "SS / RR", "seed": 0, "value": [0.1, 1 / 3]})
    return paired_seeds.chart(levels, ["SS", "RR"], ["SS", "RR"], "Risk")


def resolved(spec, datasets=None, above=None):
    """Return the layers, and those within them, each with its own rows in place of their name."""
    datasets, above = datasets or spec["datasets"], spec.get("data", above)
    layers = []
    for layer in spec["layer"]:
        if "layer" in layer:
            layers += resolved(layer, datasets, above)
            continue
        told = {key: value for key, value in layer.items() if key not in ("data", "name")}
        layers.append(told | {"rows": datasets[layer.get("data", above)["name"]]})
    return layers


@pytest.mark.parametrize("make", [many, aligned, small, seeds])
def test_it_draws_what_the_chart_draws(make):
    whole = make().to_dict()
    prepared = prepare(make())
    for ours, theirs in zip(resolved(prepared.exported), resolved(whole), strict=True):
        pd.testing.assert_frame_equal(
            pd.DataFrame(ours.pop("rows")), pd.DataFrame(theirs.pop("rows")), rtol=1e-14
        )
        assert ours == theirs
    assert {key: whole[key] for key in ("height", "config")} == {
        key: prepared.spec[key] for key in ("height", "config")
    }
    assert [one["name"] for one in prepared.spec.get("params", [])] == [
        one["name"] for one in whole.get("params", [])
    ]
    assert set(prepared.drawn["datasets"]) == set(prepared.exported["datasets"])


def test_the_chart_itself_is_left_as_it_was():
    chart = many()
    before = chart.to_dict()
    prepare(chart)
    assert chart.to_dict() == before


def test_it_is_exported_like_any_figure():
    how = figure.Provenance("q", "f", "1.0", "abc")
    assert figure._svg(prepare(small()), how, "A risk.")().startswith(b"<svg")


def test_charts_beside_each_other_keep_their_own_rows():
    parts = [prepare(many()), prepare(seeds())]
    whole = beside(parts).exported
    for made, part in zip(whole["hconcat"], parts, strict=True):
        alone = part.exported
        ours = resolved({**made, "datasets": whole["datasets"]})
        assert [layer["rows"] for layer in ours] == [layer["rows"] for layer in resolved(alone)]
        assert [layer["mark"] for layer in ours] == [layer["mark"] for layer in resolved(alone)]
    svg = figure._svg(beside(parts), figure.Provenance("q", "f", "c", "d"), "Two plots.")()
    assert svg.startswith(b"<svg")


def test_a_marked_chart_has_a_rule_more_and_the_chart_stays_as_it_was():
    chart = prepare(many())
    layers = len(chart.spec["layer"])
    rule = marked(chart, 7.0).spec["layer"][-1]
    assert (rule["mark"]["type"], rule["encoding"]["x"]["datum"]) == ("rule", 7.0)
    assert len(marked(chart, 7.0).spec["layer"]) == layers + 1
    assert len(chart.spec["layer"]) == layers
