"""The form that asks what the orders of one's own data would do, and says what is wrong beside it."""

import math
from typing import NamedTuple

import streamlit as st

from dashboard.callbacks import act
from dashboard.lab import Lab
from dashboard.parts import part
from dashboard.training import awaited
from dashboard.wording import count, duration, failure, significant
from data.errors import LabError
from data.rows import AnalysisRow
from engine.analysis.shuffling import remarks
from engine.analysis.shuffling.what_if import ALL_UP_TO, DRAWS
from engine.datasets import dataset
from engine.jobs import queue
from engine.jobs.what_if_request import (
    KIND,
    MOST_DRAWS,
    WhatIfRequest,
    dataset_table,
    read_orders,
    small_datasets,
    stored,
    what_if_request,
)
from engine.labelled_table import MOST_FEATURES, MOST_NUMBERS, MOST_ROWS, decoded, read_table

PASTE, UPLOAD, NAMED = "Paste", "Upload", "Small data sets"
RULE, OWN = "All when few, else random", "My own orders"
EXAMPLE = "six-points"
PICKER = "what_if.result"
_AWAITED, _STARTED = "what_if.awaited", "what_if.started"
_MEGABYTES = 2
_LIMITS = f"At most {MOST_ROWS:,} examples, {MOST_FEATURES} features and {MOST_NUMBERS:,} numbers together."


class _Data(NamedTuple):
    """What was given as data: text, a file, or the name of a data set."""

    text: str
    file: bytes
    dataset: str
    name: str


def what_if_form(lab: Lab, study: str) -> None:
    """Ask for data, batches and orders; start the job, or show the result where it is kept already."""
    part(lambda: _form(lab, study))


def label(row: AnalysisRow) -> str:
    """Return what a result is called in a list and in an address: it never changes."""
    told = row.summary
    extras = [f"eps {told['eps']:g}"] * bool(told["eps"])
    extras += ["intercept"] * told["intercept"] + ["trained scale"] * told["scale_trained"]
    orders = {"all": "all orders", "random": "random orders", "given": "own orders"}[told["selection"]]
    return " · ".join(
        [
            f"#{row.id}", told["name"], f"{told['examples']:,} × {told['features']:,}",
            f"batches of {told['batch_size']:,}", *extras, orders,
        ]
    )  # fmt: skip


def await_result(lab: Lab) -> None:
    """Choose the result of the job that was started here, once it is there."""
    if (row := awaited(lab, _AWAITED)) is not None:
        st.session_state[PICKER] = label(row)


def _form(lab: Lab, study: str) -> None:
    if st.session_state.pop(_STARTED, False):
        st.rerun()  # out of this part of the page, to the job or the result above it
    left, right = st.columns([3, 2], gap="large")
    with left:
        data = _data()
        with st.container(horizontal=True, gap="small"):
            column = positive = None
            if not data.dataset:
                column = st.text_input(
                    "Label column", key="what_if.label", placeholder="the last", width=150,
                    help="Name in the header, or number of the column that holds the class.",
                )  # fmt: skip
                positive = st.text_input(
                    "Positive class", key="what_if.positive", placeholder="of two, the larger", width=170,
                    help="The class that counts as +1, against all others. Needed where there are more than "
                    "two.",
                )  # fmt: skip
    with right:
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            size = st.number_input(
                "Batch size", 1, MOST_ROWS, 2, key="what_if.batch_size", width=130,
                help="The last batch is smaller where this does not divide the examples.",
            )  # fmt: skip
            eps = st.number_input(
                "eps", 0.0, None, 0.0, 1e-5, format="%g", key="what_if.eps", width=130,
                help="Added to the variance, in squared units of the features; 1e-5 in torch.",
            )  # fmt: skip
            seed = st.number_input(
                "Seed", 0, 2**31 - 1, 0, key="what_if.seed", width=110,
                help="Of random orders, and of the subsets that stand for all of Random Reshuffle's.",
            )  # fmt: skip
        with st.container(horizontal=True, gap="medium"):
            intercept = st.checkbox(
                "Intercept", key="what_if.intercept",
                help="The read-out has a bias, or the normalization trains a shift.",
            )  # fmt: skip
            scale = st.checkbox(
                "Trained scale", key="what_if.scale",
                help="The normalization trains its scale: weights and scale together grow along another "
                "direction.",
            )  # fmt: skip
        draws, lines = _orders()
        wanted = None
        try:
            text = decoded(data.file, data.name) if data.name else data.text
            if text.strip() or data.dataset or data.name:
                table = dataset_table(data.dataset) if data.dataset else read_table(text, column, positive)
                wanted = what_if_request(
                    study, text, data.dataset, data.name, column, positive, int(size or 1), float(eps or 0.0),
                    intercept, scale, ALL_UP_TO, draws,
                    () if lines is None else read_orders(lines, len(table.X)), int(seed or 0),
                )  # fmt: skip
                _preview(wanted)
            else:
                st.caption(
                    "What the data hold, how many orders there are and how long it takes is said here."
                )
        except LabError as error:
            st.warning(failure(error), icon=":material/data_alert:")
        st.button(
            "Try the orders", icon=":material/shuffle:", type="primary", key="what_if.start",
            disabled=wanted is None or not lab.access.may_change, on_click=act, args=(_start, lab, wanted),
        )  # fmt: skip


def _data() -> _Data:
    """Ask for the data: pasted, uploaded, or one of the engine's small sets."""
    source = st.segmented_control(
        "Data", (PASTE, UPLOAD, NAMED), default=PASTE, required=True, key="what_if.source"
    )
    if source == NAMED:
        name = st.selectbox(
            "Data set", small_datasets(), key="what_if.dataset",
            format_func=lambda each: f"{each}: {dataset(each).title}",
        )  # fmt: skip
        return _Data("", b"", str(name), "")
    if source == UPLOAD:
        file = st.file_uploader(
            "Table", key="what_if.file", max_upload_size=_MEGABYTES,
            help="CSV, or text with tabs, semicolons or spaces, with or without a header.",
        )  # fmt: skip
        st.caption(f"One example a line, its class in the last column. {_LIMITS}")
        return _Data("", b"", "", "") if file is None else _Data("", file.getvalue(), "", file.name)
    text = st.text_area(
        "One example a line: its features, then its class", key="what_if.text", height=190,
        placeholder="0.99, 0.01, 1\n0.01, 0.99, 1\n−0.5, 0.2, −1\n…",
        help=f"Commas, tabs, semicolons or spaces between, with or without a header. {_LIMITS}",
    )  # fmt: skip
    st.button(
        "Fill in the six points", icon=":material/edit_note:", type="tertiary", key="what_if.example",
        on_click=_fill,
        help="Six points in R^6 on which Single Shuffle diverges under two orders of three (Wu, Yun & Sra "
        "2023).",
    )  # fmt: skip
    return _Data(text or "", b"", "", "")


def _orders() -> tuple[int, str | None]:
    """Ask which orders: how many random ones at most, and the lines with a person's own, if any."""
    which = st.segmented_control(
        "Orders", (RULE, OWN), default=RULE, required=True, key="what_if.which",
        help="Orders with the same batches do the same, and are tried once.",
    )  # fmt: skip
    if which == OWN:
        lines = st.text_area(
            "One order a line: the examples, counted from 0", key="what_if.orders", height=100,
            placeholder="0 1 2 3 4 5\n5 0 4 3 2 1",
        )  # fmt: skip
        return DRAWS, lines or ""
    draws = st.number_input(
        "Random orders", 1, MOST_DRAWS, DRAWS, key="what_if.draws", width=150,
        help=f"How many are drawn where there are more than {ALL_UP_TO:,} different ways of making batches.",
    )  # fmt: skip
    return int(draws or DRAWS), None


def _preview(wanted: WhatIfRequest) -> None:
    """Say what was read, how many orders there are, which are tried and how long that takes."""
    table, size = wanted.table, wanted.batch_size
    n, d = table.X.shape
    sides = [
        f"{int((table.labels == sign).sum()):,} are {written}{_called(names, written)}"
        for sign, written, names in ((-1, "−1", table.negative), (1, "+1", table.positive))
    ]
    st.markdown(f"**{count(n, 'example')}** of **{count(d, 'feature')}**; {', '.join(sides)}.")
    st.caption(" ".join(table.told))
    batchings = count_words(wanted.batchings)
    tried = {
        "all": "all are tried",
        "random": f"{wanted.draws:,} random ones are tried, which tells a share to within "
        f"{significant(98 / math.sqrt(wanted.draws), 2)} percentage points",
        "given": f"your {count(len(wanted.orders), 'order is', 'orders are')} tried",
    }[wanted.selection]
    different = "way" if wanted.batchings == 1 else "different ways"
    st.markdown(
        f"**{count_words(math.factorial(n))} orders** make batches of {size:,} in {batchings} {different}; "
        f"{tried}. About {duration(wanted.seconds)}."
    )
    for note in remarks(table.X, size, wanted.eps, table.labels):
        st.caption(f":material/info: {note}")


def _called(names: tuple[str, ...], sign: str) -> str:
    """Return what the data call a side, unless that is the sign itself."""
    told = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
    plain = {"−1": ("", "-1"), "+1": ("", "1")}[sign]
    return "" if told in plain else f" (`{told.replace('`', ' ')}`)"


def count_words(number: int) -> str:
    """Return a whole number of any size: "720", "2.63×10³⁵"."""
    if number < 10**6:
        return f"{number:,}"
    power = math.floor(math.log10(number) + 1e-12)
    shown = f"{10 ** (math.log10(number) - power):.2f}"
    return f"{shown}×10{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _fill() -> None:
    """Write the six points into the paste area."""
    table = dataset_table(EXAMPLE)
    rows = zip(table.X.tolist(), table.labels.astype(int).tolist(), strict=True)
    st.session_state["what_if.text"] = "\n".join(
        ", ".join([*(f"{value:g}" for value in row), str(sign)]) for row, sign in rows
    )
    for name in ("label", "positive"):
        st.session_state[f"what_if.{name}"] = ""


def _start(lab: Lab, wanted: WhatIfRequest) -> None:
    """Show the result where it is kept already; else have the orders tried."""
    row = stored(lab.store, wanted)
    if row is not None:
        st.session_state[PICKER] = label(row)
    else:
        st.session_state[_AWAITED] = queue.submit(lab.store, KIND, wanted.study, wanted.spec)
    st.session_state[_STARTED] = True
