"""The loss on the plane through three networks, as they are and matched to the first."""

import numpy as np

from data.errors import LabError
from engine.connectivity.planes import plane
from engine.jobs.connect_request import ConnectRequest
from engine.jobs.connecting._matching import NAIVE, matched
from engine.jobs.connecting._record import Record, Tell
from engine.jobs.networks import Networks
from engine.jobs.progress import Progress


def run(networks: Networks, wanted: ConnectRequest, progress: Progress) -> Record:
    """Return the planes.

    The arrays `x` and `y` [methods, points], `loss` and `accuracy` [methods, splits, points, points] and
    `anchors` [methods, 3, 2] hold them.

    Raises:
        LabError: networks that do not fit, or that lie on one line.
    """
    methods = [NAIVE, *wanted.methods]
    tell = Tell(progress, len(methods) * len(networks.splits), "plane through three networks")
    first, *others = networks.all_weights(wanted.nodes)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("x", "y", "loss", "accuracy", "anchors")}
    try:
        for method in methods:
            ends = [
                one if method == NAIVE else matched(networks, first, one, method, wanted).aligned
                for one in others
            ]
            losses, accuracies = [], []
            for split in networks.splits:
                tell(f"{method}, {split.name}")
                found = plane(
                    networks.model, [first, *ends], split.X, split.y, wanted.points, task=networks.task
                )
                losses.append(found.loss)
                accuracies.append(
                    np.full_like(found.loss, np.nan) if found.accuracy is None else found.accuracy
                )
            for name, value in (
                ("x", found.x), ("y", found.y), ("anchors", found.anchors),
                ("loss", np.stack(losses)), ("accuracy", np.stack(accuracies)),
            ):  # fmt: skip
                parts[name].append(value)
    except ValueError as error:
        raise LabError("No plane", str(error), "Choose three other networks.") from error
    summary = {
        "splits": [split.name for split in networks.splits],
        "methods": methods,
        "task": networks.task,
    }
    return summary, {name: np.stack(each) for name, each in parts.items()}
