"""How many replicas fit on a device at once."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import psutil
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from data.errors import LabError
from engine.models import build
from engine.studies import Study
from engine.training.device_data import DeviceData
from engine.training.ensemble import Ensemble
from engine.training.grouping import groups
from engine.training.measured import measured
from engine.training.orderings import ordering
from engine.training.record import Replica
from engine.training.tail import ASKING

# Of the memory that is free: the rest is for evaluations, the allocator's gaps and other programs.
_SHARE = {"cpu": 0.5, "cuda": 0.7}

# Tensors as large as all parameters that a replica keeps: parameters, gradients, two moments, those before
# the first step and before the last, a snapshot with gradients and updates, a copy on its way to a file.
_COPIES = 10

# Besides: the sums of a balanced order; a twin with its gradients and moments; a tail average.
_BALANCE, _TWIN, _TAIL = 4, 4, 2

# On a CPU the activations of a step should stay in the cache: 256 replicas of a ResNet-8 (1.5 MiB each) took
# 8.2 ms per seed and step in one stack, 3.8 ms in stacks of 8 to 32; smaller models lose nothing. Below eight
# replicas the calls themselves cost more than the cache gains.
_CACHE, _FEWEST = 32 << 20, 8


class Need(NamedTuple):
    """What replicas of one kind need.

    Attributes:
        kept: bytes that each keeps while others step.
        step: bytes that a step of one takes beside them.
    """

    kept: int
    step: int


def choose_at_once(study: Study, replicas: Sequence[Replica], device: torch.device, asked: int = 0) -> int:
    """Return how many replicas to put in one stack, so that a step's activations fit beside all weights.

    On a CPU, where more seeds together than fill the cache would be slower, no more than these. Where a
    number is `asked` for it is that one, so that the last bits are the same wherever it is trained.

    Raises:
        LabError: the weights alone, or with them a step of a single replica or of as many as asked, need more
            than is free.
    """
    parts = []
    for part in groups(study, replicas):
        arms = [study.arm(name) for name in {replica.arm: None for replica in part.values()}]
        balanced = any(ordering(arm.ordering).balance for arm in arms)
        parts.append((len(part), need(study.of(arms[0].name), balanced)))
    most = fit(parts, free_bytes(device))
    if asked:
        if most < min(asked, len(replicas)):
            raise LabError(
                "Out of memory",
                f"`stack` asks for {asked:,} replicas together; {most:,} fit on {device}.",
                f"Give --stack {most:,} or less; it decides the last bits of the rows.",
            )
        return asked
    if device.type == "cpu":
        most = min(most, max(_FEWEST, _CACHE // max(one.step for _, one in parts)))
    return most


def fit(parts: Sequence[tuple[int, Need]], free: int) -> int:
    """Return the largest number of replicas that may step together, given how many of each kind there are.

    Args:
        parts: replicas and what each needs, kind by kind.
        free: memory to use, in bytes.

    Raises:
        LabError: not even one may.
    """
    count = sum(replicas for replicas, _ in parts)
    kept, step = sum(replicas * one.kept for replicas, one in parts), max(one.step for _, one in parts)
    room = (free - kept) // step
    if room < 1:
        most = max(0, (free - step) * count // kept)
        beside = f" and a step of one takes {step / 2**30:.2f} GiB" if step >= 0.005 * 2**30 else ""
        raise LabError(
            "Out of memory",
            f"{count:,} runs keep {kept / 2**30:,.2f} GiB{beside}; {free / 2**30:.2f} GiB can be used.",
            f"Train at most {most:,} runs at a time with --seeds and --arms."
            if most
            else "Choose a smaller batch or a smaller model.",
        )
    return min(int(room), count)


def need(study: Study, balanced: bool = False) -> Need:
    """Return what each replica of a study of one arm needs on the device, in bytes; from shapes alone.

    Args:
        study: of one arm.
        balanced: whether the orders of some of its replicas are made by gradients of single examples.
    """
    data = DeviceData.of(study, torch.device("cpu"))
    shape = study.shape
    ensemble = Ensemble(
        lambda: build(study.model, shape, study.model_settings),
        [0],
        torch.device("cpu"),
        torch.float64 if study.dtype == "float64" else torch.float32,
        shape.task,
        consistency=study.consistency,
    )
    own = sum(value.numel() * value.element_size() for value in ensemble.parameters.values())
    inputs, targets = (part[None, : study.batch] for part in data.train)
    copies, step = _COPIES, step_bytes(ensemble, inputs, targets)
    if balanced:
        copies, step = copies + _BALANCE, max(step, example_bytes(ensemble, inputs, targets))
    asked = measured(study)
    copies += _TWIN * ("lyapunov" in asked) + _TAIL * bool(ASKING & asked)
    return Need(copies * own, step)


def require_room(study: Study, model: nn.Module, replicas: int, device: torch.device) -> None:
    """Refuse more replicas of a model, which may be without content, than a device could ever keep.

    Raises:
        LabError: their weights and what goes with them need more memory than is free.
    """
    size = 8 if study.dtype == "float64" else 4
    kept = _COPIES * size * sum(value.numel() for value in model.parameters())
    fit([(replicas, Need(kept, 1))], free_bytes(device))


def free_bytes(device: torch.device) -> int:
    """Return how much memory a training may use on a device, in bytes."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return int(free * _SHARE[device.type])


def step_bytes(ensemble: Ensemble, inputs: Tensor, targets: Tensor) -> int:
    """Return the most memory that the tensors made for one gradient take at a time, in bytes.

    The gradient is recorded on tensors without content; a tensor lives from the operation that makes it to
    the last that uses it or a view of it.
    """
    return _peak(ensemble.record("fake")(ensemble.parameters, inputs, targets).graph)


def example_bytes(ensemble: Ensemble, inputs: Tensor, targets: Tensor) -> int:
    """Return the same of the gradients of single examples, which balanced orders look at."""
    record = make_fx(lambda *arguments: ensemble.transformed_examples(*arguments), tracing_mode="fake")
    return _peak(record(ensemble.parameters, inputs, targets).graph)


def _peak(graph: torch.fx.Graph) -> int:
    sizes: dict[int, int] = {}
    made: dict[int, int] = {}
    last: dict[int, int] = {}
    owner: dict[object, int] = {}
    given: set[int] = set()
    for at, node in enumerate(graph.nodes):
        value = node.meta.get("val")
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            if node.op == "placeholder":
                given.add(storage._cdata)
            if storage._cdata in given:
                continue  # an argument, or a view of one
            owner[node] = storage._cdata
            if storage._cdata not in made:
                made[storage._cdata], sizes[storage._cdata] = at, storage.nbytes()
        for used in (node, *node.all_input_nodes):
            if used in owner:
                last[owner[used]] = at
    changes = [0] * (len(graph.nodes) + 1)
    for one, size in sizes.items():
        changes[made[one]] += size
        changes[last[one] + 1] -= size
    return max(1, *itertools.accumulate(changes))
