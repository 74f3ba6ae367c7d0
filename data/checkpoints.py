"""Checkpoints: tensors in files named by their content, whole or not there, and what to go on from."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes

from data.arrays import to_bytes
from data.durable import put_in_place, refused, sync_file
from data.errors import LabError
from data.rows import CheckpointKind, CheckpointRow

if TYPE_CHECKING:
    from data.store import Store

log = logging.getLogger(__name__)

Tensors = dict[str, npt.NDArray[Any]]

KEPT = 2
"""States kept of each stack: the newest, and the one before in case the newest is damaged."""


def save(
    store: "Store",
    job: int,
    kind: CheckpointKind,
    step: int,
    runs: Sequence[int],
    tensors: Mapping[str, npt.NDArray[Any]],
    stack: int | None = None,
) -> CheckpointRow:
    """Keep tensors: the file is written aside and fsynced, then named and counted in one transaction.

    Call it while holding the job's traces open: what a process leaves that is killed here is removed by the
    next one that opens them. Of a stack's states the last two are kept.

    Args:
        store: the open store.
        job: whose they are.
        kind: a stack's "state", or the "weights" of runs.
        step: steps taken.
        runs: ids of the runs; of weights, in the order of every tensor's first axis.
        tensors: numbers or booleans by name.
        stack: which stack of the job a state is of.

    Raises:
        ValueError: a state without a stack, weights with one, weights of another number of runs, or a tensor
            of something else than numbers.
        LabError: the disk is full; the checkpoint does not count then, and those before it do.
    """
    if (kind == "state") != (stack is not None):
        raise ValueError(f"`stack` must be given for a state and for nothing else; got {stack} for {kind}.")
    if kind == "weights":
        wrong = {name: array.shape for name, array in tensors.items() if array.shape[:1] != (len(runs),)}
        if wrong:
            raise ValueError(f"`tensors` must have {len(runs)} runs on their first axis; got {wrong}.")
    content = to_bytes(tensors)
    digest = hashlib.sha256(content).hexdigest()
    path = store.checkpoints / f"{digest}.safetensors"
    aside = store.checkpoints / f"{job}-{digest[:16]}.tmp"

    def write() -> None:
        aside.write_bytes(content)
        sync_file(aside)

    def place() -> None:
        if not aside.exists():  # it had its name already when the database went away, and begins again
            write()
        put_in_place(aside, path)

    try:
        write()  # before the catalogue is locked: this is what takes time
        row = store.catalog.add_checkpoint(
            job,
            kind,
            stack,
            step,
            [int(run) for run in runs],
            f"{path.parent.name}/{path.name}",
            digest,
            len(content),
            place,
        )
    except OSError as error:
        raise refused(error, "A checkpoint", path) from error
    finally:
        aside.unlink(missing_ok=True)
    if kind == "state":
        former = [one.id for one in store.catalog.checkpoints(job, "state") if one.stack == stack]
        _drop(store, former[:-KEPT])
    return row


def load(store: "Store", row: CheckpointRow) -> Tensors:
    """Return the tensors of a checkpoint.

    Raises:
        LabError: its file is missing, or is not what was saved.
    """
    path = store.root / row.path
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != row.sha256:
            raise OSError("its content is not what was saved")
        return from_bytes(content)
    except (OSError, SafetensorError) as error:
        raise LabError(
            "A checkpoint cannot be read",
            f"`{path}` of job {row.job}, step {row.step:,} ({error}).",
            "Restore the file from a backup, or train again.",
        ) from error


def states(store: "Store", job: int) -> list[tuple[CheckpointRow, Tensors]]:
    """Return what each stack of a job can go on from: its newest state whose file is whole.

    A stack that has none is left out: it has to begin anew.
    """
    found: dict[int | None, tuple[CheckpointRow, Tensors]] = {}
    for row in reversed(store.catalog.checkpoints(job, "state")):
        if row.stack in found:
            continue
        try:
            found[row.stack] = row, load(store, row)
        except LabError as error:
            log.warning("Job %d goes on from an earlier state: %s", job, error)
    return [found[stack] for stack in sorted(found, key=lambda stack: stack or 0)]


def weight_steps(store: "Store", run: int) -> list[int]:
    """Return the steps at which a run's weights were kept, in order."""
    return list(dict.fromkeys(row.step for row in store.catalog.run_weights(run)))


def weights(store: "Store", run: int, step: int | None = None) -> tuple[int, Tensors]:
    """Return the weights of one run by the names of its parameters, and the step at which they were kept.

    Args:
        store: the open store.
        run: its id.
        step: one of `weight_steps`; the last when None.

    Raises:
        LabError: none were kept, or not at that step; the file is missing or damaged.
    """
    rows = store.catalog.run_weights(run)
    chosen = [row for row in rows if step is None or row.step == step]
    if not chosen:
        kept = ", ".join(f"{one:,}" for one in dict.fromkeys(row.step for row in rows))
        raise LabError(
            "No weights were kept",
            f"Run {run} has no weights{'' if step is None else f' of step {step:,}'} in the store.",
            f"It has those of step {kept}." if kept else "They are kept when a training ends; train again.",
        )
    row = chosen[-1]
    at = row.runs.index(run)
    return row.step, {name: tensor[at] for name, tensor in load(store, row).items()}


def drop_states(store: "Store", job: int) -> None:
    """Remove the states of a job that came to its end and will not go on."""
    _drop(store, [row.id for row in store.catalog.checkpoints(job, "state")])


def clear_leftovers(store: "Store", job: int) -> None:
    """Remove what killed writers left: half-written files of this job, and files that never came to count."""
    for path in store.checkpoints.glob(f"{job}-*.tmp"):
        path.unlink(missing_ok=True)
    folder = store.checkpoints

    def there() -> list[str]:
        return [f"{folder.name}/{path.name}" for path in folder.glob("*.safetensors")]

    store.catalog.sweep_checkpoints(there, lambda path: _discard(store.root / path))


def _drop(store: "Store", ids: Sequence[int]) -> None:
    if ids:
        store.catalog.drop_checkpoints(ids, lambda path: _discard(store.root / path))


def _discard(path: Path) -> None:
    path.unlink(missing_ok=True)
