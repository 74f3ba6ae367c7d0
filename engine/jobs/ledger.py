"""What is known of each run while it trains: how far it is, its latest values, whether it left."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from data.rows import RunRow
from data.store import Store
from engine.training.record import Rows, Stretch


class Ledger:
    """The runs of a training, by their index in it.

    Args:
        rows: the runs as the catalogue has them, some with a past when the training goes on.
    """

    def __init__(self, rows: Sequence[RunRow]) -> None:
        self.ids = np.array([row.id for row in rows])
        """Ids of the runs."""
        self._lengths = np.array([row.steps for row in rows])
        self._steps = np.array([row.step for row in rows])
        self._finals = [dict(row.finals) for row in rows]
        left = [row.status == "diverged" or row.converged_at is not None for row in rows]
        self._left = np.array(left, dtype=bool)
        self._diverged = np.array([row.status == "diverged" for row in rows], dtype=bool)
        self._told = self._steps.copy()

    @property
    def diverged(self) -> int:
        """How many runs diverged."""
        return int(self._diverged.sum())

    @property
    def ended(self) -> npt.NDArray[np.bool_]:
        """Which runs take no further step."""
        ended: npt.NDArray[np.bool_] = self._left | (self._steps >= self._lengths)
        return ended

    def see(self, rows: Rows) -> None:
        """Take note of each run's latest step and values."""
        order = np.argsort(rows.steps, kind="stable")
        last = np.full(len(self.ids), -1)
        last[rows.replicas[order]] = order  # of several rows of a run, the last stays
        for index in np.flatnonzero(last >= 0).tolist():
            self._steps[index] = max(self._steps[index], rows.steps[last[index]])
            values = ((name, column[last[index]]) for name, column in rows.columns.items())
            self._finals[index].update((name, float(value)) for name, value in values)

    def leave(self, store: Store, stretch: Stretch, seconds: float) -> None:
        """Write down which runs left in a stretch.

        Before a state without them is saved: whoever goes on from it does not meet them again.
        """
        changes = []
        for one in stretch.diverged:
            self._diverged[one.replica] = True
            told = {"status": "diverged", "diverged_at": one.step, "diverged_what": one.what}
            changes.append((one.replica, one.step, told))
        for other in stretch.converged:
            told = {"status": "done", "converged_at": other.step, "converged_what": other.what}
            changes.append((other.replica, other.step, told))
        now = datetime.now(UTC)
        for index, step, _ in changes:
            self._left[index] = True
            self._steps[index] = self._told[index] = step
        store.catalog.update_runs(
            {**self._whole(index), **told, "finished_at": now, "seconds": seconds}
            for index, _, told in changes
        )

    def advance(self, store: Store) -> None:
        """Write down how far the runs are."""
        moved = np.flatnonzero(self._steps > self._told)
        store.catalog.advance_runs(
            dict(zip(self.ids[moved].tolist(), self._steps[moved].tolist(), strict=True))
        )
        self._told[moved] = self._steps[moved]

    def save(self, store: Store, indices: Iterable[int]) -> None:
        """Write down the steps and values of some runs, so that who goes on has them."""
        store.catalog.update_runs(self._whole(index) for index in indices)

    def close(self, store: Store, seconds: float) -> None:
        """Write down how the runs ended that did not leave: at their last step, or stopped before it."""
        now, ended = datetime.now(UTC), self.ended
        store.catalog.update_runs(
            {
                **self._whole(index),
                "status": "done" if ended[index] else "stopped",
                "finished_at": now,
                "seconds": seconds,
            }
            for index in np.flatnonzero(~self._left).tolist()
        )

    def _whole(self, index: int) -> dict[str, Any]:
        run, step = int(self.ids[index]), int(self._steps[index])
        return {"id": run, "step": step, "finals": self._finals[index]}
