"""Stacked training against one ordinary loop a seed, with and without DataLoader, interleaved in one run.

Each round times every way once, in turn, so that a slow moment of the machine falls on all of them; the
figure is the median over rounds of the ratio within a round, with its smallest and largest value. Stacked
training is timed with one thread, as the engine trains, and with all; the ordinary loops get the number of
threads at which they were faster. All ways take the same optimizer steps: the demo study's network (three
hidden layers of 64 with batch normalization), batches of 32, SGD.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks._report import report
from engine.datasets import dataset
from engine.studies import study
from engine.training.loop import choose_device
from engine.training.record import Replica
from engine.training.stack import DeviceData, Stack

SEEDS = (1, 8, 64, 256)
ROUNDS = 7
STACKED_STEPS = 96
ORDINARY_STEPS = {1: 32, 8: 32, 64: 8, 256: 4}  # at most an epoch of 32 steps


class Ordinary:
    """What one writes without this project: a module, an optimizer and a loop for every seed."""

    def __init__(self, seeds: int, data: DeviceData, loader: bool) -> None:
        self._data, self._loader = data, loader
        self._pairs = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            layers: list[nn.Module] = []
            for _ in range(3):
                layers += [nn.Linear(64, 64, bias=False), nn.BatchNorm1d(64, track_running_stats=False)]
            model = nn.Sequential(*layers, nn.Linear(64, 10)).to(data.train[0].device)
            self._pairs.append((model, torch.optim.SGD(model.parameters(), lr=0.1)))

    def steps(self, count: int) -> None:
        """Take some steps with every seed, one seed after another."""
        inputs, labels = self._data.train
        for model, optimizer in self._pairs:
            if self._loader:
                loader = DataLoader(TensorDataset(inputs, labels), batch_size=32, shuffle=True)
                for _, (some, their) in zip(range(count), loader, strict=False):
                    self._step(model, optimizer, some, their)
            else:
                order = torch.randperm(len(inputs), device=inputs.device)
                for step in range(count):
                    rows = order[step * 32 : (step + 1) * 32]
                    self._step(model, optimizer, inputs[rows], labels[rows])

    @staticmethod
    def _step(model: nn.Module, optimizer: torch.optim.SGD, inputs: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Return how long some work takes, the device's part included."""
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(seeds: int, data: DeviceData, device: torch.device) -> list[str]:
    """Return one row of the table: microseconds a seed and step of each way, and the ratios to stacked."""
    stack = Stack(study("digits-shuffling"), {seed: Replica("RR", seed) for seed in range(seeds)}, data)
    loader, loop = Ordinary(seeds, data, True), Ordinary(seeds, data, False)
    few, every = ORDINARY_STEPS[seeds], torch.get_num_threads()
    ways: dict[str, tuple[Callable[[], object], int, int]] = {
        "stacked": (lambda: stack.take(STACKED_STEPS), STACKED_STEPS, 1),
        "stacked, all threads": (lambda: stack.take(STACKED_STEPS), STACKED_STEPS, every),
        "loader": (lambda: loader.steps(few), few, fastest(lambda: loader.steps(few), every, device)),
        "loop": (lambda: loop.steps(few), few, fastest(lambda: loop.steps(few), every, device)),
    }
    stack.take(8)
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, (work, steps, threads) in ways.items():
            torch.set_num_threads(threads)
            costs[name].append(seconds(work, device) / steps / seeds)
    torch.set_num_threads(every)
    row = [str(seeds), *(f"{statistics.median(costs[name]) * 1e6:,.0f}" for name in costs)]
    for fast in ("stacked", "stacked, all threads"):
        for slow in ("loader", "loop"):
            ratios = [high / low for high, low in zip(costs[slow], costs[fast], strict=True)]
            row.append(f"{statistics.median(ratios):.1f}x ({min(ratios):.1f}-{max(ratios):.1f})")
    return row


def fastest(work: Callable[[], object], every: int, device: torch.device) -> int:
    """Return the number of threads, one or all, with which some work takes less time."""
    times = {}
    for threads in (1, every):
        torch.set_num_threads(threads)
        times[threads] = min(seconds(work, device) for _ in range(3))
    return min(times, key=lambda threads: times[threads])


def main() -> None:
    """Measure every number of seeds and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    device = choose_device(parser.parse_args().device)
    data = DeviceData.of(dataset("digits").load(), device, torch.float32)
    head = [
        "seeds",
        "stacked, us",
        "stacked, all threads, us",
        "DataLoader, us",
        "plain loop, us",
        "DataLoader / stacked",
        "plain loop / stacked",
        "DataLoader / all threads",
        "plain loop / all threads",
    ]
    rows = [head, ["---"] * len(head), *(measure(seeds, data, device) for seeds in SEEDS)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    title = "Stacked training against ordinary loops, per seed and step"
    report("stacked_training", title, f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\n{table}", device)


if __name__ == "__main__":
    main()
