"""The lab that the views show: one open store and who is looking at it."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from dashboard.access import Access, visitor
from data.store import Store, catalogue_file, locate, open_store
from engine.jobs import queue


@dataclass(frozen=True)
class Lab:
    """What a view gets: the store, and what the person may do with it."""

    store: Store
    access: Access

    def shows(self, view: str) -> bool:
        """Whether whoever looks may open a view: a guest has the one that the public link is of."""
        return self.access.view is None or self.access.view == view


def find_lab() -> Lab | None:
    """Open the store where this app looks for it; None where there is none yet.

    Raises:
        LabError: something is there that cannot be used, for example a store of a newer version, or the
            lab does not know who is looking.
    """
    root = locate().expanduser().absolute()
    catalog = catalogue_file(root)
    if catalog is None and not root.is_file():
        return None
    store = _open(str(root), catalog.stat().st_ino if catalog is not None else 0)
    access = visitor(store)
    _reap(str(root), store)
    return Lab(store.acting_as(access.person), access)


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
    """Mark jobs whose process is gone and start those that may begin, at most every five seconds."""
    queue.tend(_store)
