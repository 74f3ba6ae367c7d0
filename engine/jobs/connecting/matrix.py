"""The barrier between every two of many networks, at every checkpoint: when do they become one basin?"""

from dataclasses import replace
from itertools import combinations

import numpy as np

from engine.connectivity.barriers import barriers
from engine.connectivity.path import path
from engine.jobs.connect_request import ConnectRequest
from engine.jobs.connecting._matching import NAIVE, matched
from engine.jobs.connecting._record import Record, Tell
from engine.jobs.networks import Networks, State
from engine.jobs.progress import Progress

QUANTITIES = ("loss_chord", "loss_mean", "accuracy_chord", "accuracy_mean")


def run(networks: Networks, wanted: ConnectRequest, progress: Progress) -> Record:
    """Return the barriers between all pairs.

    The arrays named after the definitions of a barrier are [steps, methods, splits, networks, networks],
    symmetric, 0 on the diagonal, NaN where a task has no accuracy; `similarity` [steps, methods, networks,
    networks] is the cosine of the weights, matched or not.

    Raises:
        LabError: networks that do not fit.
    """
    steps: list[int | None] = [*wanted.steps] or [None]
    methods = [NAIVE, *wanted.methods]
    n, splits = len(wanted.nodes), networks.splits
    pairs = list(combinations(range(n), 2))
    tell = Tell(progress, len(steps) * len(pairs), f"{n} networks of {wanted.study}")
    shape = (len(steps), len(methods), len(splits), n, n)
    arrays = {name: np.zeros(shape) for name in QUANTITIES}
    arrays["similarity"] = np.ones((len(steps), len(methods), n, n))
    for at, step in enumerate(steps):
        states = networks.all_weights(wanted.nodes, step)
        for i, j in pairs:
            tell(f"{'the end' if step is None else f'step {step:,}'}, {i + 1} to {j + 1}")
            for m, method in enumerate(methods):
                end, cosine = _end(networks, states[i], states[j], method, wanted)
                arrays["similarity"][at, m, i, j] = arrays["similarity"][at, m, j, i] = cosine
                for s, split in enumerate(splits):
                    lambdas = np.linspace(0, 1, wanted.points)
                    along = path(
                        networks.model, states[i], end, split.X, split.y, lambdas, task=networks.task
                    )
                    found = barriers(along)
                    for name in QUANTITIES:
                        value = getattr(found, name)
                        value = np.nan if value is None else value
                        arrays[name][at, m, s, i, j] = arrays[name][at, m, s, j, i] = value
    summary = {
        "splits": [split.name for split in splits],
        "methods": methods,
        "steps": [one for one in steps if one is not None],
        "task": networks.task,
    }
    return summary, arrays


def _end(networks: Networks, a: State, b: State, method: str, wanted: ConnectRequest) -> tuple[State, float]:
    """Return the second network in the first one's order, and the cosine of their weights."""
    if method == NAIVE:
        # Matching from a single start, for the cosine of the weights as they are.
        return b, matched(networks, a, b, "weights", replace(wanted, restarts=1)).similarity_before
    found = matched(networks, a, b, method, wanted)
    return found.aligned, found.similarity_after
