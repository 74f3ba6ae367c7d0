"""The small picture of a study, made once for the same data: making it takes longer than all of its card."""

from typing import Any, NamedTuple, cast

import altair as alt
import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.charts import sparkline
from data.store import Store


class Picture(NamedTuple):
    """What a card draws.

    Attributes:
        spec: the figure as Vega-Lite, its data beside it as a frame.
        ends: each arm and the median that it ends at, in words.
    """

    spec: dict[str, Any]
    ends: str


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=queries.BY_ROOT)
def picture(
    store: Store, version: str, study: str, metric: str, log: bool, arms: tuple[str, ...]
) -> Picture | None:
    """Return the picture of a metric over training; None where it has not been measured."""
    frame = queries.bands(store, version, study, metric, "step", None, None, None)
    if frame.empty:
        return None
    ends = ", ".join(
        f"{arm} {group['median'].iloc[-1]:.3g}" for arm, group in frame.groupby("arm", sort=False)
    )
    chart = sparkline.chart(frame, arms, log)
    drawn = cast(pd.DataFrame, chart.data)[["arm", "x", "median", "q25", "q75"]]
    chart.data = alt.Undefined
    spec = chart.to_dict(validate=False)  # the tests of the charts validate
    for layer in spec["layer"]:
        del layer["data"]
    return Picture({**spec, "data": {"name": "bands"}, "datasets": {"bands": drawn}}, ends)
