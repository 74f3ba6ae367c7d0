"""The barriers between all pairs of many networks, at every measured checkpoint of training."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import connections, figure
from dashboard.charts import barrier_matrix
from dashboard.charts.palette import METHOD_NAMES
from dashboard.connect_form import fill_in
from dashboard.connections import OVERFLOWS, Connection, quantity_picker, said, unit
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, marked, prepare
from dashboard.wording import count, interval, sentence, significant
from data.rows import AnalysisRow
from engine.analysis.pair_median import LEAST, pair_median
from engine.jobs.connect_request import Node

DEFINITIONS = ("chord", "mean")
PART = "connectivity.part"
OPENED = "connectivity.opened"
_NAIVE = "naive"


class _Shown(NamedTuple):
    """What of a matrix is drawn."""

    split: str
    quantity: str
    definition: str
    method: str


class _Drawn(NamedTuple):
    """A figure and its rows."""

    chart: Prepared
    rows: pd.DataFrame


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show the barriers of all pairs; a click on one leads to its path."""
    shown = _choose(connection)
    step = _step(connection)
    _matrix(lab, choice, connection, shown, step)
    _medians(connection, shown, step)


def _choose(connection: Connection) -> _Shown:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        split, quantity = quantity_picker(connection, "matrix")
        definition = st.segmented_control(
            "Barrier", DEFINITIONS, default="chord", required=True, bind="query-params",
            key="connectivity.matrix.definition",
            help="Above the straight line between the ends (chord), or above their mean.",
        )  # fmt: skip
        methods = [name for name in connection.told["methods"] if name != _NAIVE]
        method = methods[0] if methods else _NAIVE
        if len(methods) > 1:
            method = (
                st.segmented_control(
                    "Above the diagonal",
                    methods,
                    default=method,
                    required=True,
                    bind="query-params",
                    key="connectivity.matrix.method",
                    format_func=lambda name: METHOD_NAMES[name],
                )
                or method
            )  # fmt: skip
    return _Shown(split, quantity, str(definition or "chord"), method)


def _step(connection: Connection) -> int:
    """Ask for the checkpoint, where there are several, and return its place."""
    steps = connection.told["steps"]
    if len(steps) < 2:
        return 0
    chosen = st.select_slider(
        "Checkpoint", steps, value=steps[-1], key="connectivity.matrix.step", bind="query-params",
        format_func=lambda one: f"step {one:,}", help="Moves the matrix through training.",
    )  # fmt: skip
    return int(steps.index(chosen))


def _matrix(lab: Lab, choice: Choice, connection: Connection, shown: _Shown, step: int) -> None:
    matched = shown.method != _NAIVE
    st.subheader(
        "Barriers between all pairs",
        anchor=False,
        help="Click a cell to see the path between its two networks.",
    )
    drawn = _drawn_matrix(connection.row.key, shown, step, connection)
    # A new key after each click ends the chart's own selection: coming back, nothing is chosen.
    key = f"connectivity.matrix.cells.{st.session_state.get(OPENED, 0)}"
    steps = connection.told["steps"]
    kept = connections.kept_weights(lab.store, choice.runs)
    lost = sorted({f"{row.a} to {row.b}" for row in drawn.rows[drawn.rows["text"] == OVERFLOWS].itertuples()})
    figure.show(
        drawn.chart,
        key,
        f"Barrier of {shown.quantity} on the {shown.split} rows between "
        f"{count(len(connection.names), 'network')}"
        f"{f' at step {steps[step]:,}' if steps else ''}, by pair.",
        drawn.rows,
        connection.provenance(
            f"{shown.definition} barrier of {shown.quantity} on the straight path, "
            f"{connection.told['points']} points; {METHOD_NAMES[_NAIVE]} below the diagonal"
            + (f", {METHOD_NAMES[shown.method]} above" if matched else " and above"),
            "Frankle et al. 2020; Ainsworth et al. 2022",
        ),
        sentence(
            [
                f"Below the diagonal: the networks as they are; above: {METHOD_NAMES[shown.method]}"
                if matched
                else "Networks as they are",
                "Click a cell to see the path of its pair",
                f"The loss overflows between {', '.join(lost[:4])}"
                f"{f' and {len(lost) - 4} more' if len(lost) > 4 else ''}"
                if lost
                else "",
            ]
        ),
        on_select=lambda: _open(lab, choice.study.name, connection, key, step, kept),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def _drawn_matrix(key: str, shown: _Shown, step: int, _connection: Connection) -> _Drawn:
    every = _values(_connection, shown)
    methods = list(_connection.told["methods"])
    used = (methods.index(_NAIVE), methods.index(shown.method))
    similarity = _connection.arrays["similarity"][step]
    names = _connection.names
    n = len(names)
    row, column = np.divmod(np.arange(n * n), n)
    keep = row != column
    row, column = row[keep], column[keep]
    which = np.where(row > column, *used)
    value = every[step, which, row, column]
    text = [said(one) if np.isfinite(one) else OVERFLOWS for one in value]
    cells = pd.DataFrame(
        {
            "row": row, "column": column, "a": [names[at] for at in row], "b": [names[at] for at in column],
            "method": [METHOD_NAMES[methods[at]] for at in which], "value": value, "text": text,
            "similarity": [significant(one) for one in similarity[which, row, column]],
        }
    )  # fmt: skip
    finite = every[:, list(used)][np.isfinite(every[:, list(used)])]
    chart = barrier_matrix.chart(cells, names, float(finite.max(initial=0.0)), _axis(_connection, shown))
    return _Drawn(prepare(chart), cells.drop(columns=["row", "column"]))


def _values(connection: Connection, shown: _Shown) -> np.ndarray:
    """Return barriers [steps, methods, networks, networks]; what is not finite is infinite."""
    at = connection.splits.index(shown.split)
    values = connection.arrays[f"{shown.quantity}_{shown.definition}"][:, :, at]
    return np.where(np.isfinite(values), values, np.inf)


def _axis(connection: Connection, shown: _Shown) -> str:
    if shown.quantity == "accuracy":
        return "Accuracy drop"
    return unit(connection, "loss").replace("Loss", "Barrier")


def _open(lab: Lab, study: str, connection: Connection, key: str, step: int, kept: connections.Kept) -> None:
    """Lead to the path of the pair that was clicked: to a stored one, or to its form, filled in."""
    clicked = st.session_state[key]["selection"].get(barrier_matrix.PICK, [])
    if not clicked:
        return
    at = connection.told["steps"][step] if connection.told["steps"] else None
    a, b = (_at(connection.nodes[int(clicked[0][name])], at) for name in ("row", "column"))
    open_pair(connections.path_between(lab, study, a, b, kept), [a, b])


def open_pair(row: AnalysisRow | None, pair: list[Node]) -> None:
    """Open the part Path at a stored path, or with a pair in its form."""
    if row is not None:
        connections.show_connection(row)
    else:
        fill_in("path", pair)
    st.session_state["connectivity.asking"] = row is None
    st.session_state[PART] = "Path"
    st.session_state[OPENED] = st.session_state.get(OPENED, 0) + 1


def _at(node: Node, step: int | None) -> Node:
    return node if node.file or step is None else Node(node.arm, node.seed, step)


def _medians(connection: Connection, shown: _Shown, step: int) -> None:
    frame = _median_rows(connection.row.key, shown, connection)
    st.subheader(
        "Median over pairs" if len(connection.told["steps"]) < 2 else "When do they become one basin?",
        anchor=False,
        help="Median barrier of all pairs. Pairs share networks, so the interval resamples networks, not "
        f"pairs: 95 % of 1,000 bootstrap samples (Snijders & Borgatti 1999), from {LEAST} networks on.",
    )
    if len(connection.told["steps"]) < 2:
        columns = st.columns(max(len(frame), 3), gap="small")
        for column, (_, row) in zip(columns, frame.iterrows(), strict=False):
            with column.container(border=True, key=f"connectivity.median.{row['method']}.{row['group']}"):
                st.metric(
                    f"{str(row['method']).capitalize()}, {row['group']}", said(row["median"]),
                    interval(row["low"], row["high"]) or None, delta_color="off", delta_arrow="off",
                )  # fmt: skip
                few = "" if np.isfinite(row["low"]) else f"; an interval needs {LEAST} networks"
                st.caption(f"n = {count(int(row['pairs']), 'pair')}{few}")
        return
    chart = _drawn_medians(connection.row.key, shown, connection)
    pairs = frame.groupby("group", sort=False)["pairs"].first()
    lost = frame.loc[~np.isfinite(frame["median"])]
    figure.show(
        marked(chart, connection.told["steps"][step]),
        "connectivity.matrix.medians",
        f"Median barrier of {shown.quantity} over all pairs at "
        f"{count(len(connection.told['steps']), 'checkpoint')}, "
        "by method.",
        frame.replace({np.inf: None}).assign(
            median=[said(one) for one in frame["median"]], low=[_end(one) for one in frame["low"]],
            high=[_end(one) for one in frame["high"]],
        ),
        connection.provenance(
            "line: median over pairs; band: 95 % percentile interval over 1,000 bootstrap "
            "samples of networks",
            "Frankle et al. 2020, figure 3; Snijders & Borgatti 1999",
        ),
        sentence(
            [
                "n = " + ", ".join(f"{count(int(n), 'pair')} {group}" for group, n in pairs.items()),
                "" if np.isfinite(frame["low"]).any() else f"An interval needs {LEAST} networks",
                "At the upper edge: half of the pairs or more overflow" if len(lost) else "",
            ]
        ),
    )  # fmt: skip


def _end(value: float) -> str:
    return "–" if np.isnan(value) else said(value)


@st.cache_data(max_entries=64, show_spinner=False)
def _median_rows(key: str, shown: _Shown, _connection: Connection) -> pd.DataFrame:
    values = _values(_connection, shown)
    arms = np.array([node.arm for node in _connection.nodes])
    seeds = np.array(
        [-1 - at if node.seed is None else node.seed for at, node in enumerate(_connection.nodes)]
    )
    within, together = arms[:, None] == arms[None], seeds[:, None] == seeds[None]
    # Arms share the initialization of a seed: such pairs start as one network.
    groups = {
        barrier_matrix.WITHIN: within, barrier_matrix.ACROSS: ~within & ~together,
        barrier_matrix.ONE_SEED: ~within & together,
    }  # fmt: skip
    steps = _connection.told["steps"] or [None]
    rows = []
    for m, method in enumerate(_connection.told["methods"]):
        for group, counted in groups.items():
            for at, step in enumerate(steps):
                found = pair_median(values[at, m], counted, 0)
                if found.pairs:
                    rows.append(
                        {
                            "step": step, "method": METHOD_NAMES[method], "group": group,
                            "median": found.value, "low": found.low, "high": found.high, "pairs": found.pairs,
                        }
                    )  # fmt: skip
    return pd.DataFrame(rows)


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn_medians(key: str, shown: _Shown, _connection: Connection) -> Prepared:
    frame = _median_rows(key, shown, _connection)
    return prepare(barrier_matrix.over_training(frame, f"Median {_axis(_connection, shown).lower()}"))
