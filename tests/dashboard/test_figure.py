import csv
import io

import numpy as np
import pandas as pd

from dashboard import figure
from dashboard.charts import sparkline
from dashboard.charts import traces as trace_chart
from dashboard.prepared import prepare


def test_no_cell_of_a_csv_is_a_formula():
    frame = pd.DataFrame(
        {"=a": ["=1+1", "+2", "-3", "@x", "\tx", "plain", "a=b"], "n": [-1.5, 2, 3, 4, 5, 6, 7]}
    )
    rows = list(csv.reader(io.StringIO(figure.safe_csv(frame).decode())))
    assert rows[0] == ["'=a", "n"]
    assert [row[0] for row in rows[1:]] == ["'=1+1", "'+2", "'-3", "'@x", "'\tx", "plain", "a=b"]
    assert float(rows[1][1]) == -1.5


def test_numbers_come_back_to_the_last_bit():
    values = np.random.default_rng(0).lognormal(0, 30, 50)
    back = pd.read_csv(io.BytesIO(figure.safe_csv(pd.DataFrame({"v": values}))))
    assert (back["v"].to_numpy() == values).all()


def test_a_figure_is_exported_as_svg_with_its_provenance_and_as_png():
    bands = pd.DataFrame(
        {"arm": "SS", "x": [0, 1], "median": [1.0, 0.1], "q25": [0.9, 0.08], "q75": [1.1, 0.2]}
    )
    chart = sparkline.chart(bands, ["SS"], log=True)
    how = figure.Provenance("bands(study=<x>)", "median", "1.0", "abc")
    svg = figure._svg(prepare(chart), how, "A risk.")().decode()
    assert svg.startswith("<svg")
    assert "bands(study=&lt;x&gt;)" in svg
    assert "Data abc, code 1.0" in svg
    assert figure._png(prepare(chart))().startswith(b"\x89PNG")


def test_infinities_and_zeros_never_reach_a_scale():
    values = [1e-3, 0.0, np.nan, np.inf, -np.inf, 1e30]
    lines = pd.DataFrame(
        {"arm": "SS", "seed": 0, "run": 1, "x": np.arange(6.0), "value": values,
         "kind": ["finite", "finite", "nan", "+inf", "-inf", "finite"]}
    )  # fmt: skip
    drawn = trace_chart.chart(lines, pd.DataFrame(), ["SS", "RR"], "Step", "Risk", log=True)
    spec = drawn.to_dict()
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert 0 < low < 1e-3
    assert 1e30 < high < 1e34
    numbers = [row["value"] for rows in spec["datasets"].values() for row in rows if "value" in row]
    assert sorted(numbers) == [1e-3, 1e30]
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == ["SS", "RR"]
