"""The small picture of a study, made once for the same data: making it takes longer than all of its card."""

from typing import NamedTuple

import streamlit as st

from dashboard import queries
from dashboard.charts import sparkline
from dashboard.prepared import Prepared, prepare
from data.store import Store


class Picture(NamedTuple):
    """What a card draws.

    Attributes:
        chart: the figure.
        ends: each arm and the median that it ends at, in words.
    """

    chart: Prepared
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
    return Picture(prepare(sparkline.chart(frame, arms, log)), ends)
