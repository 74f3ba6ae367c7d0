"""The finished runs of one study in a store, as its verdict reads them."""

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from data.errors import LabError
from data.rows import RunRow
from data.store import Store
from engine.studies._study import Study

Values = Float[np.ndarray, " seeds"]


class Curve(NamedTuple):
    """One finished run's measurements of a metric.

    Attributes:
        seed: of the run.
        steps: at which it was measured.
        values: what was measured.
    """

    seed: int
    steps: Int[np.ndarray, " steps"]
    values: Float[np.ndarray, " steps"]


class Evidence:
    """The runs of a study that came to their end; those that diverged are counted, not read.

    Args:
        store: where they are.
        name: the study, with its changed settings.

    Raises:
        LabError: nothing of this study was trained here.
    """

    def __init__(self, store: Store, name: str) -> None:
        known = {row.name for row in store.catalog.studies()}
        runs = store.catalog.runs(name, archived=True) if name in known else []
        if not runs:
            raise LabError(
                "Nothing to judge",
                f"This store has no runs of `{name}`.",
                f"Train them: python -m engine train {name.partition('@')[0]}.",
            )
        self.store, self.name, self.runs = store, name, runs
        self._ends: dict[tuple[str, float], dict[int, float]] = {}

    @cached_property
    def study(self) -> Study:
        """The study as it was trained."""
        return Study.from_config(self.store.catalog.study(self.name).config)

    @cached_property
    def seeds(self) -> list[int]:
        """Every seed that was trained in any arm: what the values of all arms are aligned to."""
        return sorted({run.seed for run in self.runs})

    def finished(self, arm: str) -> Iterator[RunRow]:
        """The runs of an arm that came to their end."""
        return (run for run in self.runs if run.arm == arm and run.status == "done")

    def ends(self, metric: str, arm: str, share: float = 0.1) -> Values:
        """Return each seed's mean over the last share of its measurements; NaN where no run came to its end.

        A share of nearly nothing is the last measurement alone.
        """
        if metric not in self._measured:
            return np.full(len(self.seeds), np.nan)
        if (metric, share) not in self._ends:
            found = self.store.traces.last(self.name, [metric], share=share)
            self._ends[metric, share] = dict(zip(found["run"], found["value"], strict=True))
        by_run = self._ends[metric, share]
        by_seed = {run.seed: by_run.get(run.id, np.nan) for run in self.finished(arm)}
        return np.array([by_seed.get(seed, np.nan) for seed in self.seeds], dtype=np.float64)

    def curves(self, metric: str, arm: str) -> list[Curve]:
        """Return the measurements of every finished run of an arm, by seed."""
        if metric not in self._measured:
            return []
        ids = {run.id for run in self.finished(arm)}
        frame = self.store.traces.frame(self.name, [metric], arms=[arm])
        frame = frame[frame["run"].isin(ids)]
        return [
            Curve(
                int(rows["seed"].iloc[0]), rows["step"].to_numpy(np.int64), rows[metric].to_numpy(np.float64)
            )
            for _, rows in frame.groupby("run", sort=False)
        ]

    @property
    def notes(self) -> list[str]:
        """Return a sentence for each arm with runs that did not come to their end."""
        told = []
        for arm in dict.fromkeys(run.arm for run in self.runs):
            counted = Counter(run.status for run in self.runs if run.arm == arm)
            del counted["done"]
            of = sum(run.arm == arm for run in self.runs)
            told += [f"{n} of {of} runs of {arm} {_WORDS[status]}." for status, n in counted.items() if n]
        return told

    @cached_property
    def _measured(self) -> set[str]:
        return set(self.store.traces.metrics(self.name))


_WORDS = {
    "diverged": "diverged and are left out",
    "running": "are still in training",
    "queued": "wait for their training",
    "stopped": "were stopped and are left out",
    "failed": "failed and are left out",
}
