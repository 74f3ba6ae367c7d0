"""Traces of a store: everything that reads them, complete to the last acknowledged row."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from data import aligning, banding, exporting, thinning
from data import events as moments
from data.aligning import RunMatrix
from data.catalog import Catalog
from data.events import Direction, Events
from data.recovery import recover
from data.thinning import Axis, Thinned
from data.trace_writer import TraceWriter
from data.view import open_view, version

__all__ = ["Axis", "Direction", "Events", "RunMatrix", "Thinned", "TraceWriter", "Traces", "recover"]

Arms = Collection[str] | None
Seeds = Collection[int] | None


class Traces:
    """The traces of one store, for any process and any thread.

    Every answer is of one moment: while jobs write, seal, merge and delete, no row is missing or double.
    Only runs that count are read: of several attempts at one arm and seed the finished before the
    unfinished, then the newest; deleted ones never. `arms` and `seeds` of None mean all.
    """

    def __init__(self, root: Path, catalog: Catalog) -> None:
        self._root = root
        self._catalog = catalog

    def version(self, study: str) -> str:
        """Return a text that changes whenever a row of the study, or the set of runs that count, changes."""
        return version(self._root, self._catalog, study)

    def metrics(self, study: str) -> list[str]:
        """Return the metric columns that have been written, in order of appearance."""
        with open_view(self._root, self._catalog, study) as view:
            return list(view.metrics)

    def count(self, study: str) -> int:
        """Return the number of rows of the runs that count."""
        with open_view(self._root, self._catalog, study) as view:
            return int(view.select(f"SELECT count(*) AS n FROM {view.rows(())}")["n"][0].as_py())

    def table(
        self,
        study: str,
        metrics: Sequence[str],
        arms: Arms = None,
        seeds: Seeds = None,
        first: int | None = None,
        last: int | None = None,
    ) -> pa.Table:
        """Return what `frame` returns as an Arrow table, where not measured (NULL) differs from NaN."""
        with open_view(self._root, self._catalog, study, arms, seeds) as view:
            return aligning.table(view, metrics, first, last)

    def frame(
        self,
        study: str,
        metrics: Sequence[str],
        arms: Arms = None,
        seeds: Seeds = None,
        first: int | None = None,
        last: int | None = None,
    ) -> pd.DataFrame:
        """Return arm, seed, run, step, epoch, seconds and metrics where any of these is measured.

        Ordered by arm, seed, step; `first` and `last` are steps. Beside other metrics a value that was not
        measured is NaN, as pandas has no other word; ask for one metric, or use `table`, where the
        difference matters.
        """
        frame: pd.DataFrame = self.table(study, metrics, arms, seeds, first, last).to_pandas()
        return frame

    def thin(
        self,
        study: str,
        metric: str,
        x: Axis = "step",
        arms: Arms = None,
        seeds: Seeds = None,
        first: float | None = None,
        last: float | None = None,
        points: int = 1000,
        window: int = 1,
        events: Events | None = None,
    ) -> Thinned:
        """Return about `points` points per run that keep every extreme; see `data.thinning.thin`."""
        with open_view(self._root, self._catalog, study, arms, seeds) as view:
            return thinning.thin(view, metric, x, first, last, points, window, events)

    def bands(
        self,
        study: str,
        metric: str,
        x: Axis = "step",
        arms: Arms = None,
        first: float | None = None,
        last: float | None = None,
        points: int = 400,
        events: Events | None = None,
    ) -> pd.DataFrame:
        """Return the spread of all runs of each arm, whatever is hidden; see `data.banding.bands`.

        The cells of a long trace are laid over all arms of the study, so that an arm's numbers do not
        depend on which arms are asked for.
        """
        with open_view(self._root, self._catalog, study) as view:
            spread = banding.bands(view, metric, x, first, last, points, events)
        return spread if arms is None else spread[spread["arm"].isin(arms)].reset_index(drop=True)

    def matrices(
        self,
        study: str,
        metrics: Sequence[str],
        arms: Arms = None,
        seeds: Seeds = None,
        max_steps: int = 1000,
    ) -> list[RunMatrix]:
        """Return each run's rows where all metrics are measured; see `data.aligning.matrices`."""
        with open_view(self._root, self._catalog, study, arms, seeds) as view:
            return aligning.matrices(view, metrics, max_steps)

    def crossings(
        self, study: str, metric: str, threshold: float, direction: Direction = "above", patience: int = 1
    ) -> pd.DataFrame:
        """Return from which step on each run is beyond a threshold; see `data.events.crossings`."""
        with open_view(self._root, self._catalog, study) as view:
            return moments.crossings(view, metric, threshold, direction, patience)

    def last(self, study: str, metrics: Sequence[str], share: float = 0.1) -> pd.DataFrame:
        """Return arm, seed, run, metric, value, n: the mean of each run's last `share` of measured points.

        The value is NaN where a run diverged, failed or was stopped: its last points are not its end, and
        those of a run that diverged early are those of its initial weights.
        """
        with open_view(self._root, self._catalog, study) as view:
            ends = aligning.final_means(view, metrics, share)
        cut = {
            run.id
            for run in self._catalog.runs(study, archived=True)
            if run.status in ("diverged", "failed", "stopped")
        }
        ends.loc[ends["run"].isin(cut), "value"] = float("nan")
        return ends

    def export(self, study: str, path: str | Path) -> int:
        """Write all rows to a .parquet, .csv or .duckdb file; return how many (`data.exporting.export`)."""
        with open_view(self._root, self._catalog, study) as view:
            return exporting.export(view, study, Path(path))
