"""Several networks averaged into one: as they are, matched to their mean, and in one common order."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch.func import functional_call

from data.errors import LabError
from engine.connectivity import cycle_consistency, match, match_many
from engine.jobs.connect_request import ConnectRequest
from engine.jobs.connecting._record import Record, Tell, number
from engine.jobs.networks import Networks, State
from engine.jobs.progress import Progress
from engine.losses import correct, losses

MANY = ("mean", "cycle")
MOST_PAIRS = 45
"""Pairs of networks up to which matchings are asked whether they agree around triples."""


def run(networks: Networks, wanted: ConnectRequest, progress: Progress) -> Record:
    """Return the merges beside their members and the members' ensemble.

    Raises:
        LabError: networks that do not fit.
    """
    states = networks.all_weights(wanted.nodes)
    n = len(states)
    pairs = list(combinations(range(n), 2)) if n >= 3 else []
    pairs = pairs if len(pairs) <= MOST_PAIRS else []
    tell = Tell(progress, len(MANY) + len(pairs) + 2, f"merging {n} networks of {wanted.study}")
    tell("members")
    rows: list[dict[str, Any]] = []
    for split in networks.splits:
        outputs = [_outputs(networks, state, split.X) for state in states]
        rows += [
            {"what": "member", "split": split.name, **_measured(networks, one, split.y)} for one in outputs
        ]
        together = _ensemble(networks, torch.stack(outputs))
        rows.append({"what": "ensemble", "split": split.name, **_measured(networks, together, split.y)})
        rows.append({"what": "naive", "split": split.name, **_of_mean(networks, states, split)})
    spreads: dict[str, Any] = {}
    try:
        for method in MANY:
            tell(f"matching to the {'mean' if method == 'mean' else 'common order'}")
            found = match_many(
                networks.model, states, networks.example, method, min(wanted.restarts, 4), wanted.seed
            )
            spreads[method] = {"before": found.distance_before, "after": found.distance_after}
            rows += [
                {"what": method, "split": split.name, **_of_mean(networks, found.aligned, split)}
                for split in networks.splits
            ]
        matched = {}
        for i, j in pairs:
            tell(f"matching {i + 1} and {j + 1}")
            alone = match(networks.model, states[i], states[j], networks.example, restarts=1, null_pairs=0)
            matched[i, j] = alone.permutations
            symmetry = alone.symmetry
        share = cycle_consistency(symmetry, matched).share if pairs else None
    except ValueError as error:
        raise LabError("The networks cannot be matched", str(error), "Choose other networks.") from error
    summary = {
        "splits": [split.name for split in networks.splits],
        "merges": rows,
        "distances": spreads,
        "cycle_consistency": share,
        "task": networks.task,
    }
    return summary, {"members": np.arange(n)}


def _of_mean(networks: Networks, states: Sequence[State], split: Any) -> dict[str, float | None]:
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    return _measured(networks, _outputs(networks, mean, split.X), split.y)


def _ensemble(networks: Networks, outputs: torch.Tensor) -> torch.Tensor:
    """Return the log of the members' mean probability; of other tasks their mean output."""
    return outputs.log_softmax(-1).logsumexp(0) if networks.task == "classes" else outputs.mean(0)


def _outputs(networks: Networks, state: State, X: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        outputs: torch.Tensor = functional_call(networks.model, state, (X,))
    return outputs


def _measured(networks: Networks, outputs: torch.Tensor, y: torch.Tensor) -> dict[str, float | None]:
    """Return mean loss and accuracy of outputs."""
    loss = float(losses(networks.task, outputs, y).mean())
    accuracy = None
    if networks.task != "values":
        accuracy = float(correct(networks.task, outputs, y).double().mean())
    return {"loss": number(loss), "accuracy": accuracy}
