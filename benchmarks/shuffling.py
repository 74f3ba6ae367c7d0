"""What the analyses of data orders cost, and how often their verdict is wrong where nothing is to be found.

The linear programs of many small problems together against one by one, a single large program, and the
features of a checkpoint with all its batches at once against one after the other: each round times both ways
in turn, and a ratio is the median over rounds with its smallest and largest value. The verdict on two arms
(both risks, 16 seeds, Hochberg's correction) is asked of 2,000 studies whose arms do not differ.
"""

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats

from benchmarks._report import report
from engine.analysis.shuffling import dataset, paired_effect, read, separabilities, separability
from engine.models import build
from engine.models.linear_network import LinearNetwork
from engine.studies import study

ROUNDS = 5
NULL_STUDIES, SEEDS = 2000, 16


def problem(rows: int, features: int, batch: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a permutation's data of Gaussian inputs labelled by a noisy teacher."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, features))
    y = np.where(X @ rng.normal(size=features) + 0.3 * rng.normal(size=rows) > 0, 1, -1)
    found = dataset(X, y, batch, rng.permutation(rows))
    return found.features, found.targets


def seconds(work: Callable[[], object]) -> float:
    """Return how long work takes once."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(what: str, slow: Callable[[], object], fast: Callable[[], object]) -> str:
    """Return a row of the table: both ways, interleaved."""
    times = [(seconds(slow), seconds(fast)) for _ in range(ROUNDS)]
    ratios = sorted(one / other for one, other in times)
    middle = [statistics.median(part) for part in zip(*times, strict=True)]
    return (
        f"| {what} | {middle[0]:.3g} s | {middle[1]:.3g} s | {statistics.median(ratios):.1f}x "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f}) |"
    )


def checkpoint() -> tuple[Callable[[], object], Callable[[], object]]:
    """Return two ways of computing the demo's features under 128 batches, one by one and at once."""
    demo = study("digits-shuffling")
    model = build(demo.model, demo.shape, demo.model_of("SS")).double()
    assert isinstance(model, LinearNetwork)
    inputs = torch.randn(128, demo.batch, *demo.shape.inputs, dtype=torch.float64)

    def each() -> object:
        with torch.no_grad():
            return [model.features(batch) for batch in inputs]

    def together() -> object:
        with torch.no_grad():
            return torch.func.vmap(model.features)(inputs)

    return each, together


def false_positives() -> tuple[int, int]:
    """Return how many of the null studies are called separated, and how many are looked at."""
    found = 0
    for number in range(NULL_STUDIES):
        rng = np.random.default_rng(number)
        shared = rng.normal(size=(2, SEEDS))
        noise = 0.4 * rng.standard_t(5, size=(2, 2, SEEDS))
        own, full = (
            paired_effect(np.exp(shared[one] + noise[one, 0]), np.exp(shared[one] + noise[one, 1]))
            for one in (0, 1)
        )
        found += read("SS", "RR", own, full).separated == "separated"
    return found, NULL_STUDIES


def main() -> None:
    """Measure and report."""
    torch.set_num_threads(1)
    small = [problem(32, 16, 8, seed) for seed in range(200)]
    each, together = checkpoint()
    lines = [
        "| what | one by one | together | ratio |",
        "|---|---|---|---|",
        row(
            "200 splits of 32 x 16",
            lambda: [separability(*one) for one in small],
            lambda: separabilities(small),
        ),
        row("features under 128 batches of the demo", each, together),
        "",
        "| a single split | seconds |",
        "|---|---|",
    ]
    for rows in (256, 1024, 2048):
        split = functools.partial(separability, *problem(rows, 64, 32, 0), True)
        took = statistics.median(seconds(split) for _ in range(ROUNDS))
        lines.append(f"| n = {rows}, d = 64, with an intercept | {took:.2f} |")
    found, of = false_positives()
    low, high = stats.binomtest(found, of).proportion_ci()
    lines += [
        "",
        f"False positives of the whole verdict: {found} of {of} null studies, {found / of:.1%} "
        f"[{low:.1%}, {high:.1%}], nominally at most 5 %.",
    ]
    report("shuffling", "Analyses of data orders", "\n".join(lines), torch.device("cpu"))


if __name__ == "__main__":
    main()
