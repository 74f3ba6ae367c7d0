"""Stored explanations of data orders, as the views need them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.lab import Lab
from dashboard.wording import count
from data import analyses
from data.rows import AnalysisRow
from data.store import Store
from engine.analysis.shuffling.contrast import Picture
from engine.analysis.shuffling.explanation import picture, table
from engine.jobs.explain_request import KIND


@dataclass(frozen=True)
class Explanation:
    """One stored explanation: its summary and arrays."""

    row: AnalysisRow
    arrays: dict[str, np.ndarray]

    @property
    def task(self) -> str:
        """What the targets are: signs, classes or values."""
        return str(self.row.summary["task"])

    @property
    def arms(self) -> list[str]:
        """The arms that were explained."""
        return list(self.row.summary["arms"])

    @property
    def steps(self) -> list[int]:
        """The steps of the kept weights."""
        return [int(step) for step in self.row.summary["steps"]]

    @property
    def classes(self) -> tuple[str, str]:
        """What the two sides are called, the positive one first."""
        if self.task == "signs":
            return "+1", "−1"
        first, second = self.row.summary["classes"]
        return f"class {first}", f"class {second}"

    @property
    def notes(self) -> Mapping[str, Sequence[str]]:
        """What normalization leaves of the data, by arm."""
        found: Mapping[str, Sequence[str]] = self.row.summary["notes"]
        return found

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each run and checkpoint: see ``engine.analysis.shuffling.explanation.table``."""
        return table(self.row.summary["runs"], self.row.summary["cautions"], self.arrays)

    def last(self, arm: str) -> pd.DataFrame:
        """Return the rows of each run's last checkpoint."""
        rows = self.table[self.table["arm"] == arm]
        return rows.loc[rows.groupby("seed")["step"].idxmax()]

    def at(self, arm: str, step: int) -> pd.DataFrame:
        """Return the rows of an arm at a step, one a seed."""
        return self.table[(self.table["arm"] == arm) & (self.table["step"] == step)]

    def picture(self, place: int) -> Picture | None:
        """Return the picture of a row of the table."""
        return picture(self.arrays, place)

    def provenance(self, formula: str, source: str = "") -> figure.Provenance:
        """Return how a figure of it was computed."""
        query = f"analysis {self.row.id} of {self.row.study}, key {self.row.key}"
        return figure.Provenance(query, formula, self.row.code_version, self.row.data_version, source)


def load(store: Store, row: AnalysisRow) -> Explanation:
    """Return a stored explanation; its arrays are kept in memory by the key that names them."""
    return Explanation(row, _arrays(store, row.key, row))


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _arrays(store: Store, key: str, _row: AnalysisRow) -> dict[str, np.ndarray]:
    return analyses.load(store, _row)


def rows(lab: Lab, study: str) -> list[AnalysisRow]:
    """Return the explanations of a study, the newest first."""
    return lab.store.catalog.analyses(study, KIND)


def label(row: AnalysisRow) -> str:
    """Return what an explanation is called in a list and in an address: it never changes."""
    told: dict[str, Any] = row.summary
    classes = (
        f" · class {told['classes'][0]} against {told['classes'][1]}" if told["task"] == "classes" else ""
    )
    runs = {(run["arm"], run["seed"]) for run in told["runs"]}
    return f"#{row.id} · {count(len(runs), 'run')} · {count(len(told['steps']), 'checkpoint')}{classes}"


def picked(lab: Lab, study: str) -> Explanation | None:
    """Return the explanation that the address names, else the newest; None without any."""
    found = {label(row): row for row in rows(lab, study)}
    if not found:
        return None
    named = str(st.session_state.get("shuffling.explanation") or st.query_params.get("shuffling.explanation"))
    return load(lab.store, found.get(named, next(iter(found.values()))))
