import numpy as np
import pandas as pd
import pytest

from dashboard.charts import sparkline


@pytest.mark.parametrize("log", [True, False])
def test_each_arm_has_a_line_and_a_band_within_what_the_medians_span(log):
    x = np.repeat(np.arange(1.0, 51.0), 2)
    median = np.where(np.arange(100) % 2, 2.0, 1.0) / x
    bands = pd.DataFrame(
        {"arm": ["SS", "RR"] * 50, "x": x, "median": median, "q25": median / 9, "q75": median * 9}
    )
    bands.loc[4, "median"] = np.nan
    chart = sparkline.chart(bands, ["RR", "SS"], log)
    spec = chart.to_dict()  # which validates it
    (rows,) = spec["datasets"].values()
    assert len(rows) == 99
    scale = spec["layer"][0]["encoding"]["y"]["scale"]
    assert (scale["type"], spec["layer"][0]["mark"]["type"]) == ("log" if log else "linear", "area")
    low, high = scale["domain"]
    assert low <= min(row["median"] for row in rows) < max(row["median"] for row in rows) <= high
    assert all(low <= row["q25"] <= row["q75"] <= high for row in rows)
