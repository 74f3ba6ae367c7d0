"""Writes the runs of one's own training loop into the lab, as they go.

```python
from engine.log import Run

with Run("my-study", arm="SGD", seed=0) as run:
    for step, batch in enumerate(batches):
        loss = train_on(batch)
        run.log(step, loss=loss, weights=model)
```

A row is safe once it was flushed: within a second after a later one was logged, at `flush`, and at the end.
The dashboard shows it from then on.
"""

import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from data.columns import RESERVED
from data.importing.limits import LIMITS
from data.rows import MetricRow, RunStatus
from engine.logging_to import Ended, Row, Sink
from engine.logging_to.server import ServerSink
from engine.logging_to.store import StoreSink

if TYPE_CHECKING:
    from torch import Tensor, nn

FLUSH_S = 1.0
"""Seconds after which rows are put on the disk, when the next one comes."""


class Run:
    """One run of somebody's own training; used as a context, or ended by `finish`.

    A run that ends by an exception is marked as failed, one that is interrupted as stopped, one whose loss
    ends as NaN or infinity as diverged; their rows are kept. Of several runs of one study, arm and seed the
    last finished counts.

    Args:
        study: its name; made where there is none.
        arm: what the run does differently from the runs of other arms.
        seed: which of the arm's runs it is, from 0; runs of several arms with one seed are compared as pairs.
        store: the lab's folder, made where missing, or the address of a server (``https://...``); None for
            ``$DETOUR_STORE`` or `lab` in this folder.
        steps: how many there will be, for the progress that others see; 0 where nobody knows.
        config: what the run is made with; flat, JSON-able.
        flush_seconds: rows wait at most this long for the disk, in seconds, when others follow.
        token: for a server, as ``python -m engine token`` makes them; None for ``$DETOUR_TOKEN``.

    Raises:
        LabError: the store or server cannot be used, or has a study of that name that the engine trained.
        ValueError: a seed or name that cannot be.
    """

    def __init__(
        self,
        study: str,
        arm: str,
        seed: int,
        store: str | Path | None = None,
        steps: int = 0,
        config: Mapping[str, Any] | None = None,
        flush_seconds: float = FLUSH_S,
        token: str | None = None,
    ) -> None:
        if not study.strip() or not arm.strip():
            raise ValueError(f"`study` and `arm` must be names; got {study!r} and {arm!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(f"`seed` must be a whole number from 0; got {seed!r}.")
        plain = {str(name): value for name, value in (config or {}).items()}
        where = str(store or os.environ.get("DETOUR_STORE") or "lab")
        self._sink: Sink
        if where.startswith(("http://", "https://")):
            self._sink = ServerSink.begin(where, token, study, arm, seed, steps, plain)
        else:
            self._sink = StoreSink.begin(where, study, arm, seed, steps, plain)
        self._flush_seconds = flush_seconds
        self._began = self._flushed = time.monotonic()
        self._study = study
        self._names: set[str] = set()
        self._new: list[MetricRow] = []
        self._rows: list[Row] = []
        self._last = -1
        self._finals: dict[str, float] = {}
        self._diverging: dict[str, tuple[int, float]] = {}
        self._ended = False
        self.stop_requested = False
        """Whether somebody asked this run to stop, in the dashboard or by `cancel`; a loop may break then."""

    def log(
        self,
        step: int,
        *,
        epoch: float | None = None,
        weights: "nn.Module | Mapping[str, Tensor] | None" = None,
        **values: float,
    ) -> None:
        """Write a row, or more of the newest one.

        Args:
            step: optimizer steps done; later than the one before, or the same where more is known of it.
            epoch: passes over the data set, with fractions.
            weights: a module, or parameters by name, of which the 14 metrics of Hu et al. are measured.
            values: metrics by name, numbers or tensors of one number; NaN and infinity are values. Names that
                are no Python names go in as ``**{"val/loss": 0.1}``.

        Raises:
            ValueError: a step that is earlier or was flushed, a value that is no number, a taken name.
            LabError: the disk is full or the server is gone; rows that were flushed are safe.
        """
        more = bool(self._rows) and step == self._last
        if isinstance(step, bool) or int(step) != step or not (more or step > self._last):
            raise ValueError(f"`step` must be a whole number above {self._last}; got {step!r}.")
        measured = {name: _number(name, value) for name, value in values.items()}
        of_weights = {} if weights is None else _of_weights(weights)
        own = [name for name in measured if name not in self._names]
        others = [name for name in of_weights if name not in self._names and name not in measured]
        measured = of_weights | measured
        if not measured:
            raise ValueError("`log` needs a metric, or `weights`.")
        self._name(own + others)
        self._new += [*(_plain(self._study, name) for name in own), *_known(self._study, others)]
        if more:
            self._rows[-1].values.update(measured)
        else:
            self._last = int(step)
            passes = None if epoch is None else float(epoch)
            self._rows.append(Row(self._last, passes, time.monotonic() - self._began, measured))
        self._finals |= measured
        for name, value in measured.items():
            if math.isfinite(value):
                self._diverging.pop(name, None)
            elif "loss" in name.lower():
                self._diverging.setdefault(name, (self._last, value))
        if len(self._rows) > 1 and time.monotonic() - self._flushed >= self._flush_seconds:
            newest = self._rows.pop()
            try:
                self.flush()
            finally:
                self._rows.append(newest)

    def _name(self, new: list[str]) -> None:
        """Take note of metrics that were not logged before."""
        taken = {name.lower() for name in self._names} | RESERVED
        for name in new:
            if len(name) > LIMITS.name:
                raise ValueError(
                    f"A metric's name has at most {LIMITS.name} characters; got {name[:60]!r}..."
                )
            if not name or "\0" in name or name.lower() in taken:
                raise ValueError(f"A metric cannot be called {name!r}: that name is taken.")
            taken.add(name.lower())
        self._names |= set(new)

    def flush(self) -> None:
        """Put all rows on the disk, the newest too; the dashboard shows them from now on.

        Raises:
            LabError: the disk is full or the server is gone; the rows wait for the next flush.
        """
        self._flushed = time.monotonic()
        if self._rows:
            self.stop_requested = self._sink.write(self._rows, self._new)
            self._rows.clear()
            self._new.clear()

    def finish(self, status: RunStatus = "done", what: str = "") -> None:
        """End the run; a second call does nothing.

        Args:
            status: how it ended; "done" becomes "diverged" where a loss ended as NaN or infinity.
            what: why, where it failed.

        Raises:
            LabError: the disk is full or the server is gone; what was flushed is safe.
        """
        if self._ended:
            return
        self.flush()
        diverged = None
        if status == "done" and self._diverging:
            name, (step, value) = min(self._diverging.items(), key=lambda item: item[1][0])
            status, diverged = "diverged", (step, f"{name} is {value}")
        self._sink.end(Ended(status, what, diverged, self._finals, time.monotonic() - self._began))
        self._ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        elif isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            self.finish("stopped")
        else:
            self.finish("failed", f"{type(error).__name__}: {error}"[:500])


def _number(name: str, value: Any) -> float:
    try:
        return float(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be one number; got {value!r}.") from error


def _of_weights(weights: Any) -> dict[str, float]:
    import torch  # here: a run that measures no weights does without

    from engine.metrics import of_weights

    parameters = dict(weights.named_parameters()) if isinstance(weights, torch.nn.Module) else weights
    return of_weights(parameters)


def _plain(study: str, name: str) -> MetricRow:
    return MetricRow(study, name, name, "", "as logged by the run", "engine.log", "loss" in name.lower())


def _known(study: str, names: list[str]) -> list[MetricRow]:
    """Return what metrics of weights are."""
    if not names:
        return []
    from engine.metrics import metrics

    found = ((name, metrics()[name]) for name in names)
    return [
        MetricRow(study, name, one.label, one.unit, one.formula, one.source, one.log) for name, one in found
    ]
