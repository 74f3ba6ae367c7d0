"""One network with its smallest weights removed, and its units corrected towards the whole one."""

import numpy as np
import torch
from torch.func import functional_call

from data.errors import LabError
from engine.connectivity.pruning import prune
from engine.connectivity.renormalization import renormalize_towards
from engine.jobs.connect_request import SPARSITIES, ConnectRequest
from engine.jobs.connecting._record import Record, Tell
from engine.jobs.networks import Networks
from engine.jobs.progress import Progress
from engine.losses import correct, losses

PLAIN = "none"


def run(networks: Networks, wanted: ConnectRequest, progress: Progress) -> Record:
    """Return loss and accuracy over sparsities.

    The arrays `loss` and `accuracy` are [corrections, splits, sparsities].

    Raises:
        LabError: a network that does not fit, or a correction that this architecture cannot have.
    """
    (state,) = networks.all_weights(wanted.nodes)
    hows = [PLAIN, *wanted.renormalize]
    tell = Tell(progress, len(SPARSITIES) * len(hows), f"pruning {wanted.nodes[0].label}")
    shape = (len(hows), len(networks.splits), len(SPARSITIES))
    loss, accuracy = np.full(shape, np.nan), np.full(shape, np.nan)
    refused: list[dict[str, str]] = []
    for h, how in enumerate(hows):
        for s, sparsity in enumerate(SPARSITIES):
            tell(f"{how}, {sparsity:.0%}")
            pruned = prune(networks.model, state, sparsity)
            try:
                module = (
                    None
                    if how == PLAIN
                    else renormalize_towards(networks.model, state, pruned, networks.calibration[0], how)
                )
            except ValueError as error:
                refused.append({"renormalize": how, "why": str(error)})
                break
            for at, split in enumerate(networks.splits):
                with torch.no_grad():
                    outputs = (
                        functional_call(networks.model, pruned, (split.X,))
                        if module is None
                        else module(split.X)
                    )
                loss[h, at, s] = float(losses(networks.task, outputs, split.y).mean())
                if networks.task != "values":
                    accuracy[h, at, s] = float(correct(networks.task, outputs, split.y).double().mean())
    if len(refused) == len(hows):
        raise LabError("Nothing to prune", refused[0]["why"], "Choose another network.")
    summary = {
        "splits": [split.name for split in networks.splits],
        "renormalize": hows,
        "refused": refused,
        "task": networks.task,
    }
    return summary, {"sparsities": np.array(SPARSITIES), "loss": loss, "accuracy": accuracy}
