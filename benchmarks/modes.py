"""Barriers between pairs of seeds: as they are, matched, and matched and corrected.

Perceptrons of three hidden layers on digits and on MNIST-1D, and one of the width of Jordan et al. on MNIST,
each without normalization, with batch and with layer normalization. Of every pair the straight path,
25 points, is measured on the test rows; a barrier is the highest rise of the loss above the chord. Shown are
means over pairs with 95 % t intervals; no network is in two pairs.
"""

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks._report import report
from engine.analysis.t_interval import t_interval
from engine.connectivity import match
from engine.connectivity.barriers import barriers
from engine.connectivity.path import path
from engine.models import build
from engine.studies import Arm, Study
from engine.studies.mlp_modes import STUDY
from engine.training.device_data import DeviceData
from engine.training.loop import replicas_of, train

CPU = torch.device("cpu")
NORMS = ("none", "batch", "layer")
CALIBRATION = 2048
State = Mapping[str, Tensor]
WAYS = ("naive", "weights", "weights + REPAIR", "activations", "activations + REPAIR")
"""Ways of connecting; networks with batch normalization have its statistics anew wherever they are measured,
which is RESET, and gain nothing from REPAIR."""


def networks(study: Study, seeds: int) -> dict[str, list[State]]:
    """Train every arm and return the last weights of its seeds."""
    replicas = replicas_of(study, [], range(seeds))
    kept: dict[int, State] = {}
    for stretch in train(study, replicas, CPU):
        for one in stretch.kept:
            for at, replica in enumerate(one.replicas):
                kept[int(replica)] = {
                    name: torch.from_numpy(value[at].copy()) for name, value in one.parameters.items()
                }
    return {
        arm.name: [kept[at] for at, one in enumerate(replicas) if one.arm == arm.name] for arm in study.arms
    }


def row(study: Study, arm: str, states: Sequence[State]) -> str:
    """Return a row of the table: the barrier and half-way accuracy of every way, over an arm's pairs."""
    alone = study.of(arm)
    model = build(alone.model, alone.shape, alone.model_settings)
    (X, _), (test_X, test_y) = DeviceData.of(alone, CPU)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    ends = list[float]()
    for a, b in zip(states[::2], states[1::2], strict=True):
        aligned = {"naive": b}
        for method, data in (("weights", None), ("activations", X[:CALIBRATION])):
            aligned[method] = match(model, a, b, X[:8], method, data, null_pairs=0).aligned
        for way in WAYS:
            method, _, corrected = way.partition(" + ")
            along = path(
                model, a, aligned[method], test_X, test_y, renormalize=corrected.lower() or "none",
                calibration=X[:CALIBRATION],
            )  # fmt: skip
            assert along.accuracy is not None
            found[way].append((barriers(along).loss_chord, float(along.accuracy[12])))
            ends += [float(along.accuracy[0]), float(along.accuracy[-1])]
    cells = [_cell(np.array(found[way])) for way in WAYS]
    settings = alone.model_settings
    what = f"{alone.dataset}, width {settings['width']}, {settings.get('norm', 'none')}"
    return f"| {what} | {len(states) // 2} | {100 * np.mean(ends):.1f} | {' | '.join(cells)} |"


def _cell(values: np.ndarray) -> str:
    """Return mean barrier and accuracy with their intervals."""
    mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    low, high = t_interval(mean, sd, np.full(2, len(values)))
    return (
        f"{mean[0]:.3f} [{low[0]:.3f}, {high[0]:.3f}]; "
        f"{100 * mean[1]:.1f} % [{100 * low[1]:.1f}, {100 * high[1]:.1f}]"
    )


def main() -> None:
    """Train, connect, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--datasets", nargs="+", default=["digits", "mnist1d", "mnist-5k"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    arms = tuple(Arm(norm, "RR", {"norm": norm}) for norm in NORMS)
    lines = [f"| networks | pairs | ends, accuracy % | {' | '.join(WAYS)} |", "|---" * (3 + len(WAYS)) + "|"]
    took = []
    for dataset in asked.datasets:
        for width in asked.widths if dataset != "mnist-5k" else [128]:
            began = time.perf_counter()
            study = dataclasses.replace(
                STUDY, dataset=dataset, arms=arms, comparisons=(), checkpoints=(),
                model_settings={"width": width, "depth": 3},
                epochs=40 if dataset == "digits" else 20, evaluate_every=10**6,
            )  # fmt: skip
            for arm, states in networks(study, 2 * asked.pairs).items():
                lines.append(row(study, arm, states))
                print(lines[-1], flush=True)
            took.append(f"{dataset}, width {width}: {time.perf_counter() - began:.0f} s")
    lines += ["", f"Training and connecting, with one thread: {'; '.join(took)}."]
    report("modes", "Barriers between pairs of seeds", "\n".join(lines), CPU)


if __name__ == "__main__":
    main()
