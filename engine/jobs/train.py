"""The job that trains a study, writes its traces, and keeps what it needs to go on after a stop or a kill."""

import logging
import time
from contextlib import closing
from typing import Any

import numpy as np
import torch

from data import checkpoints
from data.columns import Precision
from data.errors import LabError
from data.rows import RunRow
from data.store import Store
from data.trace_writer import TraceWriter
from engine.jobs.declaration import declare, require_same, run_settings
from engine.jobs.ledger import Ledger
from engine.jobs.progress import Ending, Progress
from engine.jobs.request import CHECKPOINT_SECONDS
from engine.jobs.rounds import Rounds
from engine.studies import Study, study
from engine.training.grouping import groups
from engine.training.loop import choose_device, replicas_of, train
from engine.training.memory import choose_at_once
from engine.training.record import Kept, Replica, Rows, StackState
from engine.version import code_version

# Rows are acknowledged at least this often, so that a viewer is never further behind.
_FLUSH_S = 0.5
# And this often it is written down how far the runs are, so that those of a killed job show it.
_ADVANCE_S = 2.0

log = logging.getLogger(__name__)


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Train what the job's specification says; go on where it stood when it was begun before.

    A state is saved once the rows before it are acknowledged. So whoever goes on from it repeats the steps
    from there to the last acknowledged row, to the same bits, and writes only what is not there yet.

    Args:
        store: where the study, its runs, their traces and checkpoints are written.
        job_id: a job whose spec holds ``study``, ``overrides``, ``arms``, ``seeds``, ``device`` and, where it
            is not the usual, ``checkpoint_seconds``. What must not change when it goes on is added to it.
        progress: told after every stretch, in steps summed over the runs; True stops the training at the
            end of the present stretches, with their states saved.

    Returns:
        ``"done"`` or ``"stopped"`` with the numbers of runs, diverged runs and acknowledged rows.

    Raises:
        LabError: a study, arm, setting or device that is not there, or a checkpoint of something else.
    """
    training = _Training(store, job_id, progress)
    return training.run()


def require_resumable(store: Store, job_id: int) -> None:
    """Refuse to go on with a training that could not, before anything is changed.

    Raises:
        LabError: the study has other settings by now, or data files with another content; the device is not
            there; or the job is of a version that kept no states.
    """
    spec, rows = store.catalog.job(job_id).spec, store.catalog.job_runs(job_id)
    require_same(store, study(spec["study"]).override(spec.get("overrides") or {}))
    _device(job_id, spec, rows)


def _device(job_id: int, spec: dict[str, Any], rows: list[RunRow]) -> torch.device:
    """Return where to train: where it was begun, if it was."""
    if not rows:
        return choose_device(spec.get("device", "auto"))
    if "code_version" not in spec:
        raise LabError(
            "The job cannot go on",
            f"Job {job_id} was begun by a version of Detour that kept no states to go on from.",
            "Train the study again; the rows that are there stay.",
        )
    kind = rows[0].device.split(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise LabError(
            "No GPU",
            f"Job {job_id} was begun on a GPU, which gives other last digits than a CPU; there is none here.",
            "Resume it on a machine with a GPU, or train the study again with --device cpu.",
        )
    return choose_device(kind)


class _Training:
    """One attempt at a job: what it writes, and when."""

    def __init__(self, store: Store, job_id: int, progress: Progress) -> None:
        self._store, self._job, self._progress = store, job_id, progress
        spec, rows = store.catalog.job(job_id).spec, store.catalog.job_runs(job_id)
        self._wanted: Study = study(spec["study"]).override(spec.get("overrides") or {})
        self._device = _device(job_id, spec, rows)
        self._replicas = replicas_of(self._wanted, spec.get("arms") or [], spec["seeds"])
        arms = list(dict.fromkeys(replica.arm for replica in self._replicas))
        self._columns = declare(store, self._wanted, arms)
        self._resumed = bool(rows)
        at_once = spec.get("at_once")
        if not rows:
            at_once = choose_at_once(self._wanted, self._replicas, self._device, spec.get("stack", 0))
            began: dict[str, Any] = {"at_once": at_once, "code_version": code_version()}
            if (checksum := self._wanted.data_checksum()) is not None:
                began["data_sha256"] = checksum
            spec = store.catalog.amend_spec(job_id, **began)
            rows = self._begin(arms)
        else:
            spec = store.catalog.amend_spec(job_id, resumed=spec.get("resumed", 0) + 1)
            self._go_on(rows)
        self._at_once: int | None = at_once
        self._compiled = bool(spec.get("compiled"))
        self._stacks = [set(part) for part in groups(self._wanted, self._replicas, at_once)]
        self._ledger = Ledger(rows)
        self._rounds = Rounds(spec.get("checkpoint_seconds", CHECKPOINT_SECONDS), self._still_training)
        self._total = sum(row.steps for row in rows)
        self._done = 0
        self._message = f"{self._wanted.name}, {len(rows)} runs on {self._device}"
        if spec["code_version"] != code_version():
            self._message += f", begun with version {spec['code_version']}"
            log.warning(
                "Job %d goes on with version %s: its bits may differ from those of %s, which began it.",
                *(job_id, code_version(), spec["code_version"]),
            )

    def _begin(self, arms: list[str]) -> list[RunRow]:
        settings = {arm: run_settings(self._wanted, arm) for arm in arms}
        lengths = {arm: self._wanted.of(arm).steps for arm in arms}
        self._store.catalog.start_runs(
            self._job,
            self._wanted.name,
            [(one.arm, one.seed, settings[one.arm]) for one in self._replicas],
            [lengths[one.arm] for one in self._replicas],
            str(self._device),
        )
        return self._store.catalog.job_runs(self._job)

    def _go_on(self, rows: list[RunRow]) -> None:
        if [Replica(row.arm, row.seed) for row in rows] != self._replicas:
            raise LabError(
                "The job has other runs",
                f"Job {self._job} was begun with {len(rows)} runs that are not those of its specification.",
                "Train the study again; the rows that are there stay.",
            )
        unfinished = [row.id for row in rows if row.status in ("queued", "stopped", "failed")]
        self._store.catalog.update_runs(
            {"id": id, "status": "running", "finished_at": None} for id in unfinished
        )

    def _still_training(self) -> list[int]:
        ended = self._ledger.ended
        return [number for number, part in enumerate(self._stacks) if not all(ended[list(part)])]

    def run(self) -> Ending:
        """Train to the end, or until asked to stop."""
        dtype: Precision = "float64" if self._wanted.dtype == "float64" else "float32"
        stopped = False
        with TraceWriter(self._store, self._job, self._columns, dtype, retrace=True) as writer:
            began = time.monotonic() - writer.seconds
            flushed = advanced = time.monotonic()
            stretches = train(
                *(self._wanted, self._replicas, self._device),
                self._due,
                self._states(),
                self._at_once,
                self._compiled,
            )
            with closing(stretches):
                for stretch in stretches:
                    seconds = time.monotonic() - began
                    for rows in stretch.rows:
                        self._write(writer, rows, seconds)
                    self._done = stretch.steps_done
                    left = stretch.diverged or stretch.converged
                    now = time.monotonic()
                    if left or stretch.kept or stretch.state or now - flushed >= _FLUSH_S:
                        writer.flush()
                        flushed = now
                    if left:
                        self._ledger.leave(self._store, stretch, seconds)
                    for kept in stretch.kept:
                        self._keep(kept)
                    if stretch.state is not None:
                        self._save(stretch.state)
                        self._rounds.saved(stretch.state.stack)
                    if now - advanced >= _ADVANCE_S:
                        self._ledger.advance(self._store)
                        advanced = now
                    if self._told() and self._rounds.over:
                        stopped = self._done < self._total
                        break
        seconds = time.monotonic() - began
        self._ledger.close(self._store, seconds)
        if not stopped:
            checkpoints.drop_states(self._store, self._job)
        result = {"runs": len(self._replicas), "diverged": self._ledger.diverged, "rows": writer.rows}
        return Ending("stopped" if stopped else "done", {**result, "seconds": seconds})

    def _told(self) -> bool:
        """Tell how far the training is; whether it was asked to stop."""
        asked = self._progress(self._done, self._total, self._message)
        if asked:
            self._rounds.stop()
        return asked

    def _due(self, stack: int) -> bool:
        self._told()
        return self._rounds.due(stack)

    def _write(self, writer: TraceWriter, rows: Rows, seconds: float) -> None:
        runs = self._ledger.ids[rows.replicas]
        writer.write(runs, rows.steps, rows.epochs, np.full(len(runs), seconds), rows.columns)
        self._ledger.see(rows)

    def _keep(self, kept: Kept) -> None:
        runs = self._ledger.ids[kept.replicas].tolist()
        checkpoints.save(self._store, self._job, "weights", kept.step, runs, kept.parameters)

    def _save(self, state: StackState) -> None:
        self._ledger.save(self._store, sorted(self._stacks[state.stack]))
        runs = self._ledger.ids[state.replicas].tolist()
        checkpoints.save(self._store, self._job, "state", state.step, runs, state.tensors, state.stack)

    def _states(self) -> list[StackState]:
        """Return where each stack goes on from."""
        place = {run: index for index, run in enumerate(self._ledger.ids.tolist())}
        found = []
        for row, tensors in checkpoints.states(self._store, self._job) if self._resumed else []:
            stack = row.stack if row.stack is not None else -1
            members = [place.get(run, -1) for run in row.runs]
            if not 0 <= stack < len(self._stacks) or not self._stacks[stack].issuperset(members):
                raise LabError(
                    "The checkpoint is of other runs",
                    f"The state of stack {stack} of job {self._job} is of runs that share no stack now.",
                    "Train the study again; the rows that are there stay.",
                )
            found.append(StackState(stack, row.step, np.array(members), tensors))
        return found
