"""The loop that trains every seed and arm of a study together and says what it saw."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import torch

from data.errors import LabError
from engine.datasets import dataset
from engine.models import build
from engine.studies import Study
from engine.training.record import Replica, Rows, Stretch
from engine.training.stack import DeviceData, Stack, visited


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


def require_trainable(study: Study, arms: Sequence[str], device: str) -> None:
    """Refuse a training that could not begin, before anything is written down for it.

    Raises:
        LabError: an unknown device, data set, ordering or model, or settings that the model does not take.
    """
    choose_device(device)
    described = dataset(study.dataset)
    for name in arms:
        visited(study, study.arm(name))
        with torch.device("meta"):
            build(study.model, described.features, described.classes, study.model_of(name))


def train(study: Study, replicas: Sequence[Replica], device: torch.device) -> Iterator[Stretch]:
    """Train replicas together, reporting as they go; closing the iterator stops the training.

    Arms of one architecture and batch schedule share a stack; the stacks take turns between
    evaluations, so that all arms advance together. What a stretch ends with is measured on a copy while
    the next stretch trains.

    Args:
        study: what is trained.
        replicas: the runs; reported by their index in this sequence.
        device: where.

    Yields:
        What each stack measured from one evaluation to the next, first of all before any step.
    """
    data = DeviceData.of(dataset(study.dataset).load(), device, getattr(torch, study.dtype))
    members: dict[tuple[str, int], dict[int, Replica]] = {}
    for index, replica in enumerate(replicas):
        arm = study.arm(replica.arm)
        key = (repr(sorted(arm.model.items())), visited(study, arm))
        members.setdefault(key, {})[index] = replica
    with (
        _one_thread_each(device),
        ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool,
    ):
        stacks = [Stack(study, group, data) for group in members.values()]
        for stack in stacks:
            yield Stretch([stack.snapshot().measure()], [], 0)
        frozen = 0
        waiting: tuple[Stretch, Future[Rows] | None] | None = None
        for start in range(0, study.steps, study.evaluate_every):
            for stack in stacks:
                if not len(stack.indices):
                    continue
                losses, diverged, snapshot = stack.advance(min(start + study.evaluate_every, study.steps))
                frozen += len(diverged)
                taken = sum(other.step * len(other.indices) for other in stacks)
                if waiting is not None:
                    yield _measured(*waiting)
                measuring = None if snapshot is None else pool.submit(snapshot.measure)
                waiting = Stretch([losses], diverged, taken + frozen * study.steps), measuring
        if waiting is not None:
            yield _measured(*waiting)


def _measured(stretch: Stretch, measuring: Future[Rows] | None) -> Stretch:
    """Return a stretch with the rows that were measured at its end, once they are."""
    return stretch if measuring is None else stretch._replace(rows=[*stretch.rows, measuring.result()])


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
