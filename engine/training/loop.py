"""The loop that trains every seed and arm of a study together and says what it saw."""

from collections.abc import Iterator, Sequence

import torch

from data.errors import LabError
from engine.datasets import dataset
from engine.studies import Study
from engine.training.record import Replica, Stretch
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


def train(study: Study, replicas: Sequence[Replica], device: torch.device) -> Iterator[Stretch]:
    """Train replicas together, reporting as they go; closing the iterator stops the training.

    Arms of one architecture and batch schedule share a stack; the stacks take turns between
    evaluations, so that all arms advance together.

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
    stacks = [Stack(study, group, data) for group in members.values()]
    frozen = 0
    for stack in stacks:
        yield Stretch([stack.evaluate()], [], 0)
    for start in range(0, study.steps, study.evaluate_every):
        for stack in stacks:
            if not len(stack.indices):
                continue
            rows, diverged = stack.advance(min(start + study.evaluate_every, study.steps))
            frozen += len(diverged)
            taken = sum(other.step * len(other.indices) for other in stacks)
            yield Stretch(rows, diverged, taken + frozen * study.steps)
