"""The lab that the views show: one open store and who is looking at it."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.access import Access, alone
from data.store import CATALOG, Store, locate, open_store
from engine.jobs import queue


@dataclass(frozen=True)
class Lab:
    """What a view gets: the store, and what the person may do with it."""

    store: Store
    access: Access


def find_lab() -> Lab | None:
    """Open the store where this app looks for it; None where there is none yet.

    Raises:
        LabError: something is there that cannot be used, for example a store of a newer version.
    """
    root = locate().expanduser().absolute()
    if not (root / CATALOG).exists() and not root.is_file():
        return None
    catalog = root / CATALOG
    lab = Lab(_open(str(root), catalog.stat().st_ino if catalog.exists() else 0), alone())
    _reap(str(root), lab.store)
    return lab


def create_lab() -> Lab:
    """Make the store where this app looks for it, and open it."""
    open_store(locate(), create=True).close()
    lab = find_lab()
    if lab is None:
        raise RuntimeError(f"The store at {locate()} vanished while it was being made.")
    return lab


@st.cache_resource(max_entries=4, show_spinner=False, on_release=Store.close)
def _open(root: str, identity: int) -> Store:
    """Open one store once for every session; `identity` tells a folder that was made anew."""
    return open_store(Path(root))


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _reap(root: str, _store: Store) -> None:
    """Mark jobs whose process is gone, at most every five seconds for the whole app."""
    queue.reap(_store)
