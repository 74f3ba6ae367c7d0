"""Figures as they were when somebody kept them: results of the store, named by what went into them."""

import gzip
import hashlib

import numpy as np
import streamlit as st

from dashboard.figure_files import LARGEST, Figure, from_json, to_json
from data import analyses
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store

KIND = "figure"


def keep(store: Store, figure: Figure) -> str:
    """Keep a figure, and return the key by which `load` finds it.

    Raises:
        LabError: it shows no study, is too large, or whoever acts may keep nothing.
    """
    store.catalog.person.require("researcher")
    if not figure.place.study:
        raise LabError("Not of a study", "This figure shows no single study.", "Add one that does.")
    content = to_json(figure)
    if len(content) > LARGEST:
        raise LabError(
            "The figure is too large",
            f"It has {len(content) / 2**20:.1f} MiB; {LARGEST >> 20} are kept.",
            "Draw fewer seeds or a narrower range.",
        )
    row = analyses.save(
        store,
        figure.place.study,
        KIND,
        {"sha256": hashlib.sha256(content).hexdigest()},
        {"view": figure.place.view, "person": store.catalog.person.name},
        {"json": np.frombuffer(gzip.compress(content, mtime=0), np.uint8)},
        figure.how.code,
        figure.how.data,
    )
    return row.key


def load(store: Store, key: str) -> tuple[Figure, AnalysisRow]:
    """Return a figure that was kept, and the row that says when and by whom.

    Raises:
        LabError: it is not there, is damaged, or of a study that whoever acts may not see.
    """
    row = store.catalog.analysis(key)
    return _read(str(store.root), row.key, store, row), row


@st.cache_resource(max_entries=64, show_spinner=False)
def _read(root: str, key: str, _store: Store, _row: AnalysisRow) -> Figure:
    """Read a figure once: its key names its content."""
    return from_json(gzip.decompress(analyses.load(_store, _row)["json"].tobytes()))
