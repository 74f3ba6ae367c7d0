"""The straight path between two networks: matched or not, corrected or not, and a trained curve beside it."""

from typing import Any

import numpy as np

from data.errors import LabError
from engine.connectivity.barriers import barriers
from engine.connectivity.curves import curve, curve_path
from engine.connectivity.diagnostics import diagnostics
from engine.connectivity.path import Path, path
from engine.jobs.connect_request import ConnectRequest
from engine.jobs.connecting._matching import NAIVE, matched
from engine.jobs.connecting._record import Record, Tell, number, told_barriers, told_matching
from engine.jobs.networks import Networks, State
from engine.jobs.progress import Progress

PLAIN = "none"
CURVE_STEPS = 1000


def run(networks: Networks, wanted: ConnectRequest, progress: Progress) -> Record:
    """Return the paths between two networks.

    The summary has a row for every path and split with its barriers; the arrays `loss` and `accuracy`
    [paths, splits, lambdas] hold the paths, NaN where a task has no accuracy.

    Raises:
        LabError: networks that do not fit, or a method that this architecture cannot have.
    """
    a, b = networks.all_weights(wanted.nodes)
    corrections = [PLAIN, *wanted.renormalize]
    methods = [NAIVE, *wanted.methods]
    work = len(wanted.methods) + len(methods) * len(corrections) + bool(wanted.curve) * 3
    tell = Tell(progress, work, " to ".join(node.label for node in wanted.nodes))
    ends, matchings = {NAIVE: b}, list[dict[str, Any]]()
    for method in wanted.methods:
        tell(f"matching by {method}")
        one = matched(networks, a, b, method, wanted, 0 if method == "ste" else 3)
        ends[method] = one.aligned
        matchings.append(told_matching(one))
    names, found, refused = list[tuple[str, str]](), list[list[Path]](), list[dict[str, str]]()
    for method, end in ends.items():
        for how in corrections:
            tell(f"{method}, {how}")
            try:
                along = _along(networks, a, end, wanted.points, how)
            except ValueError as error:  # a correction that this architecture does not have
                refused.append({"method": method, "renormalize": how, "why": str(error)})
                continue
            names.append((method, how))
            found.append(along)
    if wanted.curve:
        tell(f"training a {wanted.curve} curve", 3)
        names.append((wanted.curve, PLAIN))
        found.append(_curve(networks, a, b, wanted))
    if not found:
        raise LabError("No path", refused[0]["why"], "Choose other networks or methods.")
    told_paths = [
        {"method": method, "renormalize": how, "split": split.name, **told_barriers(barriers(each))}
        | {"midpoint": _at_half(each), "ends": _ends(each)}
        for (method, how), along in zip(names, found, strict=True)
        for split, each in zip(networks.splits, along, strict=True)
    ]
    summary = {
        "splits": [split.name for split in networks.splits],
        "rows": {split.name: len(split.X) for split in networks.splits},
        "paths": [{"method": method, "renormalize": how} for method, how in names],
        "barriers": told_paths,
        "matchings": matchings,
        "refused": refused,
        "diagnostics": _diagnosed(networks, a, ends),
        "task": networks.task,
    }
    nothing = np.full(wanted.points, np.nan)
    arrays = {
        "lambdas": found[0][0].lambdas,
        "loss": np.stack([[each.loss for each in along] for along in found]),
        "accuracy": np.stack(
            [[nothing if each.accuracy is None else each.accuracy for each in along] for along in found]
        ),
    }
    return summary, arrays


def _along(networks: Networks, a: State, b: State, points: int, how: str) -> list[Path]:
    calibration = None if how == PLAIN else networks.calibration[0]
    lambdas = np.linspace(0, 1, points)
    return [
        path(
            networks.model, a, b, split.X, split.y, lambdas, how, calibration=calibration, task=networks.task
        )
        for split in networks.splits
    ]


def _curve(networks: Networks, a: State, b: State, wanted: ConnectRequest) -> list[Path]:
    train = networks.splits[0]
    t = np.linspace(0, 1, wanted.points)
    try:
        bent = curve(
            networks.model, a, b, train.X, train.y, wanted.seed, wanted.curve, CURVE_STEPS, t=t,
            task=networks.task,
        )  # fmt: skip
    except ValueError as error:
        raise LabError("No curve", str(error), "Choose the other kind of curve, or none.") from error
    rest = [
        curve_path(networks.model, a, bent, b, split.X, split.y, t, task=networks.task)
        for split in networks.splits[1:]
    ]
    return [bent.path, *rest]


def _at_half(along: Path) -> dict[str, float | None]:
    """Return loss and accuracy nearest to half-way."""
    middle = int(np.abs(along.lambdas - 0.5).argmin())
    accuracy = None if along.accuracy is None else float(along.accuracy[middle])
    return {"loss": number(float(along.loss[middle])), "accuracy": accuracy}


def _ends(along: Path) -> dict[str, list[float | None]]:
    accuracy: list[float | None] = [None, None]
    if along.accuracy is not None:
        accuracy = [float(along.accuracy[at]) for at in (0, -1)]
    return {"loss": [number(float(along.loss[at])) for at in (0, -1)], "accuracy": accuracy}


def _diagnosed(networks: Networks, a: State, ends: dict[str, State]) -> list[dict[str, Any]]:
    """Return what happens to each layer half-way, by method."""
    rows = list[dict[str, Any]]()
    for method, end in ends.items():
        try:
            found = diagnostics(networks.model, a, end, networks.calibration[0])
        except ValueError:  # of an architecture whose layers cannot be told apart there is nothing to say
            return []
        rows += [
            {
                "method": method, "layer": layer,
                **{name: number(float(getattr(found, name)[at])) for name in found._fields[1:]},
            }
            for at, layer in enumerate(found.layers)
        ]  # fmt: skip
    return rows
