"""Reads traces: what the sealed files and the live journals of a study hold together, at one moment."""

from pathlib import Path

from data.catalog import Catalog
from data.recovery import recover
from data.trace_writer import TraceWriter

__all__ = ["TraceWriter", "Traces", "recover"]


class Traces:
    """The traces of one store, for any process and any thread."""

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self.root = root
        self.catalog = catalog
