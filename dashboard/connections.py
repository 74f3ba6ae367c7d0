"""Stored connections of networks, as the views need them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import streamlit as st

from dashboard import figure, queries
from dashboard.charts.palette import CORRECTION_NAMES, METHOD_NAMES
from dashboard.lab import Lab
from dashboard.wording import count, significant
from data import analyses
from data.rows import AnalysisRow, RunRow
from data.store import Store
from engine.jobs.connect_request import KIND, Node

OVERFLOWS = "overflows"
Kept = Mapping[tuple[str, int], Sequence[int]]
"""Steps at which weights were kept, by arm and seed."""


@dataclass(frozen=True)
class Connection:
    """One stored connection: its summary and arrays."""

    row: AnalysisRow
    arrays: dict[str, np.ndarray]

    @property
    def told(self) -> dict[str, Any]:
        """The summary, as ``engine.jobs.connecting`` writes it."""
        return self.row.summary

    @property
    def nodes(self) -> list[Node]:
        """The networks."""
        return nodes_of(self.row)

    @property
    def names(self) -> list[str]:
        """What figures call the networks, each by a name of its own."""
        given = [str(one["label"]) for one in self.told["nodes"]]
        return [
            name if given.count(name) == 1 else f"{name} ({given[: at + 1].count(name)})"
            for at, name in enumerate(given)
        ]

    @property
    def splits(self) -> list[str]:
        """The parts of the data set that were measured."""
        return list(self.told["splits"])

    @property
    def quantities(self) -> list[str]:
        """What was measured: a task without classes has no accuracy."""
        return ["loss"] if self.told["task"] == "values" else ["loss", "accuracy"]

    def provenance(self, formula: str, source: str = "") -> figure.Provenance:
        """Return how a figure of it was computed."""
        query = f"analysis {self.row.id} of {self.row.study}, key {self.row.key}"
        return figure.Provenance(query, formula, self.row.code_version, self.row.data_version, source)


def nodes_of(row: AnalysisRow) -> list[Node]:
    """Return the networks of a stored connection."""
    known = {field.name for field in fields(Node)}
    return [
        Node(**{name: value for name, value in one.items() if name in known}) for one in row.summary["nodes"]
    ]


def load(store: Store, row: AnalysisRow) -> Connection:
    """Return a stored connection; its arrays are kept in memory by the key that names them."""
    return Connection(row, _arrays(store, row.key, row))


@st.cache_data(max_entries=12, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _arrays(store: Store, key: str, _row: AnalysisRow) -> dict[str, np.ndarray]:
    return analyses.load(store, _row)


def rows(lab: Lab, study: str, what: str) -> list[AnalysisRow]:
    """Return the connections of a kind, the newest first."""
    return [row for row in lab.store.catalog.analyses(study, KIND) if row.summary["what"] == what]


def label(row: AnalysisRow) -> str:
    """Return what a connection is called in a list and in an address: it never changes."""
    told, what = row.summary, row.summary["what"]
    names = [str(one["label"]) for one in told["nodes"]]
    of = " to ".join(names) if len(names) < 3 else ", ".join(names) if len(names) == 3 else ""
    parts = [f"#{row.id}", of or count(len(names), "network")]
    if what in ("path", "matrix", "plane"):
        parts.append(", ".join(METHOD_NAMES[name] for name in row.inputs["methods"]) or "not matched")
    if what in ("path", "pruning") and row.inputs["renormalize"]:
        parts.append(", ".join(CORRECTION_NAMES[name] for name in row.inputs["renormalize"]))
    if what == "path" and row.inputs["curve"]:
        parts.append(METHOD_NAMES[row.inputs["curve"]])
    if what == "matrix" and told["steps"]:
        parts.append(count(len(told["steps"]), "checkpoint"))
    return " · ".join(parts)


def picker_key(what: str) -> str:
    """Return the name under which the address holds which connection of a kind is shown."""
    return f"connectivity.{what}"


def pick(lab: Lab, found: Sequence[AnalysisRow], what: str) -> Connection:
    """Ask which of some connections, at least one, is shown; the address names it."""
    named = {label(row): row for row in found}
    key = picker_key(what)
    if key not in st.query_params:
        # At once, in both: a link must not show another one once a newer one is there.
        held = st.session_state.get(key)
        st.session_state[key] = st.query_params[key] = held if held in named else next(iter(named))
    chosen = st.selectbox("Connection", list(named), index=None, key=key, bind="query-params", width=720)
    return load(lab.store, named[chosen] if chosen in named else found[0])


def show_connection(row: AnalysisRow) -> None:
    """Have a connection shown from the page's next run on, whatever the address named before."""
    what = str(row.summary["what"])
    st.session_state[picker_key(what)] = label(row)


def kept_weights(store: Store, runs: Sequence[RunRow]) -> dict[tuple[str, int], list[int]]:
    """Return the steps at which weights were kept, by arm and seed; runs without any are left out."""
    steps: dict[int, set[int]] = {}
    for job in {run.job for run in runs}:
        for row in store.catalog.checkpoints(job, "weights"):
            for run_id in row.runs:
                steps.setdefault(run_id, set()).add(row.step)
    return {(run.arm, run.seed): sorted(steps[run.id]) for run in runs if run.id in steps}


def at_step(node: Node, kept: Kept, step: int | None = None) -> Node:
    """Return a network with its step named: the last that was kept where none is; of a file itself."""
    if node.file or node.seed is None:
        return Node(node.arm, file=node.file)
    steps = kept.get((node.arm, node.seed), [])
    wanted = node.step if step is None else step
    return Node(node.arm, node.seed, wanted if wanted is not None or not steps else steps[-1])


def path_between(lab: Lab, study: str, a: Node, b: Node, kept: Kept) -> AnalysisRow | None:
    """Return the newest stored path between two networks, in either direction; None without any."""
    wanted = {at_step(a, kept), at_step(b, kept)}
    for row in rows(lab, study, "path"):
        if {at_step(node, kept) for node in nodes_of(row)} == wanted:
            return row
    return None


def said(value: float | None, overflows: bool = False) -> str:
    """Return a number in words: what is not finite overflows."""
    if overflows or (value is not None and not np.isfinite(value)):
        return OVERFLOWS
    return significant(value)


def unit(connection: Connection, quantity: str) -> str:
    """Return what an axis of a quantity is called, with its unit."""
    if quantity == "accuracy":
        return "Accuracy"
    return "Loss" if connection.told["task"] == "values" else "Loss [nats]"


def quantity_picker(connection: Connection, what: str) -> tuple[str, str]:
    """Ask for the part of the data and for loss or accuracy, side by side; the address holds both."""
    split = st.segmented_control(
        "On", connection.splits, default=connection.splits[-1], required=True, bind="query-params",
        key=f"connectivity.{what}.split", help="The rows that were trained on, or those that were held out.",
    )  # fmt: skip
    quantity = st.segmented_control(
        "Show", connection.quantities, default="loss", required=True, bind="query-params",
        key=f"connectivity.{what}.quantity",
    )  # fmt: skip
    return str(split or connection.splits[-1]), str(quantity or "loss")
