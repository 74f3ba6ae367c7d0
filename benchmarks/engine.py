"""The engine against one ordinary loop a seed, with and without DataLoader, and what its metrics cost.

Each round times every way once, in turn, so that a slow moment of the machine falls on all of them; a ratio
is the median over rounds of the ratio within a round, with its smallest and largest value. The ordinary
loops use torch's own layers and optimizer, and the number of threads at which they were faster; the engine
is timed as it trains: on a CPU with one thread, in stacks of as many seeds as it would choose; on a GPU with
algorithms that give the same bits every time. All take the same steps, with batches of 32.

Memory is what the tensors of one step need beside the weights: counted from the recorded step on a CPU,
measured on a GPU. The arithmetic of a step is counted by torch's own counter (matrix products and
convolutions, forward and backward); its traffic is what its operations read and write if nothing is fused.
The cost of metrics is how much longer a training takes with an evaluation every so many steps than with
none, for the demo study's arm RR, evaluations overlapping with training as they always do.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._report import report
from engine.metrics import metrics
from engine.models import build
from engine.models._batch_norm import BatchNorm
from engine.studies import Arm, Study
from engine.training.device_data import DeviceData
from engine.training.grouping import groups
from engine.training.loop import choose_device, deterministic, train
from engine.training.memory import choose_at_once, step_bytes
from engine.training.record import Replica
from engine.training.stack import Stack

SEEDS = {"cpu": (1, 8, 64, 256), "cuda": (1, 8, 64, 256, 1024)}
CADENCES = (16, 64, 256, 1024)
ROUNDS = 5
# A way is timed for about this long a round, and for at least one step of every seed.
ROUND_S = 0.5

# Published peaks of dense arithmetic without tensor cores (float32, TFLOP/s) and of memory (TB/s).
CARDS = {"H100": (67.0, 3.35), "H200": (67.0, 4.8), "A100": (19.5, 2.04)}


def case(name: str, dataset: str, model: str, settings: dict[str, object], **changes: object) -> Study:
    """Return a study of one arm that trains a model on a data set."""
    shared: dict[str, object] = {"epochs": 1000, "batch_size": 32, "lr": 0.05}
    return Study(
        name=name,
        title=name,
        claim="",
        dataset=dataset,
        model=model,
        model_settings=settings,
        arms=(Arm("RR", "RR"),),
        **(shared | changes),  # type: ignore[arg-type]
    )


CASES = {
    one.name: one
    for one in (
        case("linear+BN", "digits", "linear-network", {"width": 64, "depth": 3, "norm": "batch"}),
        case("MLP", "digits", "mlp", {"width": 128, "depth": 2}),
        case("ResNet-8", "digits", "resnet", {"depth": 8}),
        case(
            "transformer",
            "modular-addition",
            "transformer",
            {},
            dataset_settings={"p": 59},
            optimizer="adamw",
            lr=1e-3,
        ),
    )
}


class Ordinary:
    """What one writes without this project: a module, an optimizer and a loop for every seed."""

    def __init__(self, study: Study, seeds: int, data: DeviceData, loader: bool) -> None:
        self._inputs, self._targets = data.train
        self._study, self._loader = study, loader
        self._pairs = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            model = native(build(study.model, study.shape, study.model_settings)).to(self._inputs.device)
            kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
            self._pairs.append((model, kinds[study.optimizer](model.parameters(), lr=study.lr)))

    def steps(self, count: int) -> None:
        """Take some steps with every seed, one seed after another; `count` is at most an epoch of them."""
        size = self._study.batch
        for model, optimizer in self._pairs:
            if self._loader:
                loader = DataLoader(TensorDataset(self._inputs, self._targets), batch_size=size, shuffle=True)
                for _, (some, their) in zip(range(count), loader, strict=False):
                    self._step(model, optimizer, some, their)
            else:
                order = torch.randperm(len(self._inputs), device=self._inputs.device)
                for step in range(count):
                    rows = order[step * size : (step + 1) * size]
                    self._step(model, optimizer, self._inputs[rows], self._targets[rows])

    @staticmethod
    def _step(model: nn.Module, optimizer: torch.optim.Optimizer, some: Tensor, their: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(some), their).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def native(model: nn.Module) -> nn.Module:
    """Return a model with torch's own batch normalization in place of this project's."""
    for name, child in model.named_children():
        if isinstance(child, BatchNorm):
            images = any(isinstance(module, nn.Conv2d) for module in model.modules())
            kind = nn.BatchNorm2d if images else nn.BatchNorm1d
            setattr(model, name, kind(child.features, track_running_stats=False))
        else:
            native(child)
    return model


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, the device's part included."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


class Way(NamedTuple):
    """A way of taking steps: what takes them, and how many threads it gets."""

    take: Callable[[int], object]
    threads: int


def timed(way: Way, most: int, device: torch.device) -> tuple[int, float]:
    """Return a number of steps that takes about a round, and how long one step takes."""
    torch.set_num_threads(way.threads)
    way.take(1)
    one = min(seconds(lambda: way.take(1), device) for _ in range(2))
    return max(1, min(most, round(ROUND_S / one))), one


def fastest(way: Callable[[int], object], every: int, device: torch.device) -> Way:
    """Return a way with the number of threads, one or all, with which it takes less time."""
    return min((Way(way, threads) for threads in {1, every}), key=lambda one: timed(one, 1, device)[1])


def compared(study: Study, seeds: int, device: torch.device, rounds: int) -> list[str]:
    """Return one row of the table of speeds."""
    data, every = DeviceData.of(study, device), torch.get_num_threads()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        empty = torch.cuda.memory_allocated()
    replicas = [Replica("RR", seed) for seed in range(seeds)]
    parts = groups(study, replicas, choose_at_once(study, replicas, device))
    stacks = [Stack(study, part, data) for part in parts]
    stack = stacks[0]

    def engine(steps: int) -> None:
        with deterministic(device):
            for one in stacks:
                one.take(steps)

    engine(4)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() - empty
    else:
        alone = [part[None, : study.batch] for part in data.train]
        memory = len(parts[0]) * step_bytes(stack.ensemble.at(one_of(stack)), alone[0], alone[1])
    ways = {
        "engine": Way(engine, 1),
        "loader": fastest(Ordinary(study, seeds, data, True).steps, every, device),
        "loop": fastest(Ordinary(study, seeds, data, False).steps, every, device),
    }
    epoch = len(data.train[0]) // study.batch
    counts = {name: timed(way, epoch, device)[0] for name, way in ways.items()}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            torch.set_num_threads(way.threads)
            took = seconds(functools.partial(way.take, counts[name]), device)
            costs[name].append(took / counts[name] / seeds)
    torch.set_num_threads(every)
    cost = {name: statistics.median(values) for name, values in costs.items()}
    work, traffic = demands(stack, study, data)
    row = [study.name, str(seeds), str(len(parts[0])), f"{1 / cost['engine']:,.0f}"]
    row += [f"{cost[name] * 1e6:,.0f}" for name in ways]
    for slow in ("loader", "loop"):
        ratios = [high / low for high, low in zip(costs[slow], costs["engine"], strict=True)]
        row.append(f"{statistics.median(ratios):.1f}x ({min(ratios):.1f}-{max(ratios):.1f})")
    row += [f"{memory / 2**20:,.1f}", f"{work / cost['engine'] / 1e9:,.0f}"]
    row.append(f"{traffic / cost['engine'] / 1e9:,.0f}")
    print(" | ".join(row), flush=True)
    return row


def one_of(stack: Stack) -> dict[str, Tensor]:
    """Return the parameters of a stack's first replica, stacked alone."""
    return {name: value[:1] for name, value in stack.ensemble.parameters.items()}


def demands(stack: Stack, study: Study, data: DeviceData) -> tuple[float, float]:
    """Return the floating-point operations of a step of one replica, and the bytes that it moves unfused."""
    alone = stack.ensemble.at(one_of(stack))
    inputs, targets = (part[None, : study.batch] for part in data.train)
    counter = FlopCounterMode(display=False)
    with counter:
        alone.transformed(alone.parameters, inputs, targets)
    moved = 0
    for node in alone.record("fake")(alone.parameters, inputs, targets).graph.nodes:
        if node.op == "call_function":
            for part in (node, *node.all_input_nodes):
                value = part.meta.get("val")
                if isinstance(value, Tensor):
                    moved += value.numel() * value.element_size()
    return counter.get_total_flops(), moved


def compiled_gain(study: Study, device: torch.device, rounds: int) -> list[str]:
    """Return a row of the table of what compiling the step gains: 64 replicas, with one thread."""
    data, members = DeviceData.of(study, device), {seed: Replica("RR", seed) for seed in range(64)}
    torch.set_num_threads(1)
    plain = Stack(study, members, data)
    compiled = Stack(study, members, data, compiled=True)
    took = seconds(lambda: compiled.take(1), device)
    count = timed(Way(plain.take, 1), len(data.train[0]) // study.batch, device)[0]
    ratios, costs = [], []
    for _ in range(rounds):
        slow, fast = (seconds(functools.partial(stack.take, count), device) for stack in (plain, compiled))
        ratios.append(slow / fast)
        costs.append((slow / count, fast / count))
    slow, fast = (statistics.median(one) * 1e3 for one in zip(*costs, strict=True))
    gain = f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"
    row = [study.name, f"{slow:.2f}", f"{fast:.2f}", gain, f"{took:.0f}"]
    print(" | ".join(row), flush=True)
    return row


def metric_costs(device: torch.device, rounds: int) -> list[list[str]]:
    """Return the rows of the table of what evaluations cost at each cadence."""
    steps, rows = 2048, []
    base = dataclasses.replace(CASES["linear+BN"], epochs=steps // 32)
    never = {name: 0 for name, metric in metrics().items() if metric.default}
    studies = {0: dataclasses.replace(base, evaluate_every=steps, cadence=never)} | {
        every: dataclasses.replace(base, evaluate_every=every) for every in CADENCES
    }
    for seeds in (64,) if device.type == "cpu" else (64, 1024):
        costs: dict[int, list[float]] = {every: [] for every in studies}
        for _ in range(rounds):
            for every, study in studies.items():
                replicas = [Replica("RR", seed) for seed in range(seeds)]
                costs[every].append(seconds(functools.partial(exhaust, study, replicas, device), device))
        for every in CADENCES:
            shares = [100 * (some / bare - 1) for some, bare in zip(costs[every], costs[0], strict=True)]
            middle = statistics.median(shares)
            rows.append([str(seeds), str(every), f"{middle:.1f} % ({min(shares):.1f} to {max(shares):.1f})"])
            print(" | ".join(rows[-1]), flush=True)
    return rows


def exhaust(study: Study, replicas: Sequence[Replica], device: torch.device) -> None:
    """Train to the end."""
    for _ in train(study, replicas, device):
        pass


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def limits(device: torch.device) -> str:
    """Return what the card could do at most, where it is a known one."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    for card, (flops, bandwidth) in CARDS.items():
        if card in name:
            return (
                f"\n\nThe {card}'s published limits: {flops:g} TFLOP/s in float32 without tensor cores, "
                f"{bandwidth:g} TB/s of memory."
            )
    return ""


def main() -> None:
    """Measure every model and number of seeds, and keep the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", default=",".join(CASES), help="comma-separated: " + ", ".join(CASES))
    parser.add_argument("--seeds", help="comma-separated numbers of seeds")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    counts = [int(one) for one in arguments.seeds.split(",")] if arguments.seeds else SEEDS[device.type]
    head = [
        *("model", "seeds", "in a stack", "seed-steps/s", "engine, us", "DataLoader, us", "plain loop, us"),
        *("DataLoader / engine", "plain loop / engine", "MiB a step", "GFLOP/s", "GB/s unfused"),
    ]
    rows = [
        compared(CASES[name], seeds, device, arguments.rounds)
        for name in arguments.models.split(",")
        for seeds in counts
    ]
    every = torch.get_num_threads()
    gains = [compiled_gain(CASES[name], device, arguments.rounds) for name in arguments.models.split(",")]
    torch.set_num_threads(every)
    costs = metric_costs(device, arguments.rounds)
    text = (
        f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\n"
        f"Times are per seed and step.\n\n{markdown(head, rows)}{limits(device)}\n\n"
        "What `train --compile` gains, 64 seeds, times of a step of all together; the first step compiles, "
        "in less time where torch finds the code in its cache:\n\n"
        + markdown(["model", "recorded, ms", "compiled, ms", "recorded / compiled", "first step, s"], gains)
        + "\n\nCost of all default metrics, as a share of the same training without them:\n\n"
        + markdown(["seeds", "steps between evaluations", "cost"], costs)
    )
    report("engine", "The engine against ordinary loops", text, device)


if __name__ == "__main__":
    main()
