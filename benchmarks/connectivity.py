"""Paths and matchings between perceptrons against clear loops over lambdas and over layers.

The loop over lambdas loads the mixed weights of each of 25 points into a module and evaluates it; ours takes
all points together. The loop over layers solves one hidden layer after the other, all products anew in every
sweep, until none changes; ours solves only what changed. Both do so in the same precision, with one thread.
Each round times both in turn; a ratio is the median over rounds with its smallest and largest value. Networks
are untrained, which takes weight matching the most sweeps.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from benchmarks._report import report
from engine.connectivity import match
from engine.connectivity.path import path
from engine.losses import losses
from engine.models import build
from engine.studies import study

LAYERS, LAMBDAS = 3, np.linspace(0, 1, 25)
State = Mapping[str, Tensor]


def loop_over_lambdas(model: nn.Module, a: State, b: State, X: Tensor, y: Tensor) -> list[float]:
    """Return the losses along the path, one point after the other."""
    found = []
    with torch.no_grad():
        for at in LAMBDAS.tolist():
            model.load_state_dict({name: (1 - at) * a[name] + at * b[name] for name in a})
            found.append(float(losses("classes", model(X), y).mean()))
    return found


def loop_over_layers(a: State, b: State, seed: int = 0) -> list[np.ndarray]:
    """Return the permutations of the hidden layers by coordinate ascent (Ainsworth et al. 2022)."""
    one, other = ({name: value.double().numpy() for name, value in each.items()} for each in (a, b))
    orders = [np.arange(len(one[f"hidden.{at}.linear.bias"])) for at in range(LAYERS)]
    rng, changed = np.random.default_rng(seed), True
    while changed:
        changed = False
        for at in rng.permutation(LAYERS).tolist():
            name, then = f"hidden.{at}.linear", f"hidden.{at + 1}.linear" if at + 1 < LAYERS else "head"
            into = other[f"{name}.weight"] if at == 0 else other[f"{name}.weight"][:, orders[at - 1]]
            out = other[f"{then}.weight"] if at + 1 == LAYERS else other[f"{then}.weight"][orders[at + 1]]
            alike = one[f"{name}.weight"] @ into.T + one[f"{then}.weight"].T @ out
            alike += np.outer(one[f"{name}.bias"], other[f"{name}.bias"])
            _, found = linear_sum_assignment(alike, maximize=True)
            rows = np.arange(len(found))
            if alike[rows, found].sum() > alike[rows, orders[at]].sum() + 1e-12:
                orders[at], changed = found, True
    return orders


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> tuple[float, float, str]:
    """Return both median times and the ratio in words."""
    times = []
    for _ in range(rounds):
        one = []
        for work in (slow, fast):
            began = time.perf_counter()
            work()
            one.append(time.perf_counter() - began)
        times.append(one)
    ratios = sorted(one / other for one, other in times)
    a, b = (statistics.median(part) for part in zip(*times, strict=True))
    return a, b, f"{statistics.median(ratios):.1f}x ({ratios[0]:.1f} to {ratios[-1]:.1f})"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256, 1024, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    modes = study("mlp-modes")
    split = modes.load()
    X, y = (torch.from_numpy(part) for part in (split.test_inputs, split.test_targets))
    X = X.float()
    lines = [
        "| width | path, loop | path, together | ratio | matching, loop | matching, ours | ratio |",
        "|---" * 7 + "|",
    ]
    for width in asked.widths:
        settings = {"width": width, "depth": LAYERS}
        states = []
        for seed in (0, 1):
            torch.manual_seed(seed)
            model = build("mlp", modes.shape, settings)
            states.append({name: value.clone() for name, value in model.state_dict().items()})
        a, b = states
        expected = loop_over_lambdas(model, a, b, X, y)
        np.testing.assert_allclose(path(model, a, b, X, y).loss, expected, rtol=1e-4)
        match(model, a, b, X[:8], restarts=1, null_pairs=0)  # traced once, as for every architecture
        along = ratio(
            partial(loop_over_lambdas, model, a, b, X, y), partial(path, model, a, b, X, y), asked.rounds
        )
        matched = ratio(
            partial(loop_over_layers, a, b),
            partial(match, model, a, b, X[:8], restarts=1, null_pairs=0),
            asked.rounds,
        )
        lines.append(
            f"| {width} | {along[0]:.3g} s | {along[1]:.3g} s | {along[2]} | {matched[0]:.3g} s | "
            f"{matched[1]:.3g} s | {matched[2]} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"{len(X)} test rows of digits, {LAYERS} hidden layers, float32 paths, float64 matching."]
    report("connectivity", "Paths and matchings between networks", "\n".join(lines), torch.device("cpu"))


if __name__ == "__main__":
    main()
