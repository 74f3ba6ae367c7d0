"""The loop that trains every seed and arm of a study together and says what it saw."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch

from data.errors import LabError
from engine.studies import Study
from engine.training.device_data import DeviceData
from engine.training.graphed import ALONE
from engine.training.grouping import groups
from engine.training.record import Convergence, Replica, Rows, StackState, Stretch
from engine.training.snapshot import Snapshot
from engine.training.stack import Stack


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU where there is one.

    Raises:
        LabError: an unknown name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise LabError("Unknown device", f"There is no device `{name}`.", "Choose auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise LabError("No GPU", "torch finds no CUDA device on this machine.", "Use --device cpu or auto.")
    return torch.device(name)


def replicas_of(study: Study, arms: Sequence[str], seeds: Sequence[int]) -> list[Replica]:
    """Return the runs of some arms and seeds, arm by arm, in the study's order of arms."""
    chosen = [study.arm(name).name for name in arms] or [arm.name for arm in study.arms]
    return [Replica(arm.name, seed) for arm in study.arms if arm.name in chosen for seed in seeds]


def never(stack: int) -> bool:
    """Say that no state is due."""
    return False


def train(
    study: Study,
    replicas: Sequence[Replica],
    device: torch.device,
    due: Callable[[int], bool] = never,
    states: Sequence[StackState] = (),
    at_once: int | None = None,
    compiled: bool = False,
) -> Generator[Stretch, None, None]:
    """Train replicas together, reporting as they go; closing the iterator stops the training.

    Arms of the same settings share a stack; the stacks take turns between evaluations, so that all arms
    advance together. What a stretch ends with is measured on a copy while the next stretch trains.

    Args:
        study: what is trained.
        replicas: the runs; reported by their index in this sequence.
        device: where.
        due: asked after every stretch of a stack, by its number, whether it is to report the state to go on
            from.
        states: where the stacks of an earlier training of the same replicas stood; a stack without one
            begins at its first step.
        at_once: how many replicas may be in one stack; None for all.
        compiled: whether torch compiles the steps, which pays for long trainings.

    Yields:
        What each stack measured from one evaluation to the next, of a stack that begins first of all
            before any step.

    Raises:
        LabError: the device's memory is full.
    """
    try:
        with (
            deterministic(device),
            _one_thread_each(device),
            ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool,
        ):
            yield from _train(study, replicas, device, due, states, at_once, compiled, pool)
    except torch.OutOfMemoryError as error:
        raise LabError(
            "Out of memory",
            f"{len(replicas):,} replicas of `{study.name}` do not fit on {device}: {error}",
            "Train fewer seeds at a time with --seeds, a smaller batch or a smaller model.",
        ) from error


class _Waiting(NamedTuple):
    """A stretch whose last rows are being measured."""

    stretch: Stretch
    measuring: Future[Rows] | None

    def done(self) -> Stretch:
        if self.measuring is None:
            return self.stretch
        return self.stretch._replace(rows=[*self.stretch.rows, self.measuring.result()])


def _train(
    study: Study,
    replicas: Sequence[Replica],
    device: torch.device,
    due: Callable[[int], bool],
    states: Sequence[StackState],
    at_once: int | None,
    compiled: bool,
    pool: ThreadPoolExecutor,
) -> Generator[Stretch, None, None]:
    standing = {state.stack: state for state in states}
    stacks, splits = [], dict[float, DeviceData]()
    for number, members in enumerate(groups(study, replicas, at_once)):
        alone = study.of(next(iter(members.values())).arm)
        if alone.label_noise not in splits:  # in nothing else do the data of two arms differ
            splits[alone.label_noise] = DeviceData.of(alone, device)
        stacks.append(Stack(study, members, splits[alone.label_noise], number, compiled))
        if number in standing:
            stacks[-1].restore(standing[number])
    whole = [stack.members * stack.steps for stack in stacks]

    def done() -> int:
        """Count the steps taken, those of replicas that left as if they had been."""
        shares = zip(stacks, whole, strict=True)
        return sum(all_steps - len(stack.indices) * (stack.steps - stack.step) for stack, all_steps in shares)

    for stack in stacks:
        if stack.step == 0:
            first = (stack.weights(np.ones(stack.members, bool)),) if 0 in stack.study.checkpoints else ()
            yield Stretch([stack.snapshot().measure()], [], [], done(), None, first)
    waiting: _Waiting | None = None
    while training := [stack for stack in stacks if len(stack.indices) and stack.step < stack.steps]:
        # Who is furthest behind goes next.
        stack = min(training, key=lambda one: one.step / one.steps)
        every = stack.study.evaluate_every
        advance = stack.advance(min(stack.step - stack.step % every + every, stack.steps))
        rows, converged, measuring = list(advance.losses), [], None
        kept = list(advance.kept)
        if advance.snapshot is not None and (stack.study.stop_below or stack.study.stop_above):
            rows.append(advance.snapshot.measure())
            converged = _converged(stack.study, rows[-1])
            left = np.isin(stack.indices, [one.replica for one in converged])
            if left.any():
                if stack.step < stack.steps and stack.step not in stack.study.checkpoints:
                    kept.append(stack.weights(left))
                stack.keep(~left)
        elif advance.snapshot is not None:
            measuring = pool.submit(_measured, advance.snapshot)
        state = (
            stack.state() if len(stack.indices) and stack.step < stack.steps and due(stack.number) else None
        )
        stretch = Stretch(rows, advance.diverged, converged, done(), state, tuple(kept))
        if waiting is not None:
            yield waiting.done()
        waiting = _Waiting(stretch, measuring)
    if waiting is not None:
        yield waiting.done()


def _measured(snapshot: Snapshot) -> Rows:
    with ALONE:
        return snapshot.measure()


def _converged(study: Study, rows: Rows) -> list[Convergence]:
    """Return who reached a value at which the study stops a run."""
    found: dict[int, Convergence] = {}
    for rules, word in ((study.stop_below, "below"), (study.stop_above, "above")):
        for metric, bound in rules.items():
            values = rows.columns.get(metric, np.full(len(rows.replicas), np.nan))
            reached = values <= bound if word == "below" else values >= bound
            for at in np.flatnonzero(reached):
                replica = int(rows.replicas[at])
                what = f"{metric} is {values[at]:.6g}, at or {word} {bound:g}"
                found.setdefault(replica, Convergence(replica, int(rows.steps[at]), what))
    return list(found.values())


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Have a GPU give the same bits every time; a CPU does so by itself."""
    before = torch.are_deterministic_algorithms_enabled()
    if device.type == "cuda":
        # cuBLAS reads this when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _one_thread_each(device: torch.device) -> Iterator[None]:
    """Give each operation one thread on a CPU while training, and a second thread to the measurements.

    Operations of small networks take tens of microseconds. Sharing each between two threads made a step of
    64 replicas of the demo study about a quarter faster on two idle cores (7 ms for 9 ms), but two to five
    times slower beside one busy process, by how long the threads spin while they wait, and ten times slower
    beside several.
    """
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
