"""`connect`: what lies between trained networks, in the foreground."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from data import networks
from data.analyses import load
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.once import once
from engine.cli.table import table
from engine.jobs.connect_request import (
    CURVES,
    METHODS,
    RENORMALIZE,
    Node,
    connect_request,
    read_node,
    stored,
)


def _arguments(parser: ArgumentParser) -> None:
    node = "ARM:SEED, ARM:SEED@STEP, or ARM:FILE.safetensors"
    parser.add_argument("study", metavar="STUDY", help="a study in the store, trained here")
    parser.add_argument("--a", metavar="NETWORK", required=True, help=f"the first network: {node}")
    parser.add_argument("--b", metavar="NETWORK", help="the second")
    parser.add_argument("--c", metavar="NETWORK", help="a third: then the plane through the three")
    parser.add_argument(
        "--among",
        metavar="NETWORK",
        action="append",
        default=[],
        help="one more network, as often as wanted: then the barriers between all pairs",
    )
    parser.add_argument("--merge", action="store_true", help="average all of them instead")
    parser.add_argument(
        "--method", metavar="M,N", type=names, default=["weights"],
        help=f"how units are matched: {'|'.join(METHODS)} (default: weights)",
    )  # fmt: skip
    parser.add_argument(
        "--renormalize", metavar="M,N", type=names, default=[],
        help=f"how units of merges are corrected: none|{'|'.join(RENORMALIZE)} (default: none)",
    )  # fmt: skip
    parser.add_argument("--curve", metavar="|".join(CURVES), default="", help="also train a curve")
    parser.add_argument(
        "--steps", metavar="N,M", type=names, help="checkpoints of all pairs (default: the last)"
    )
    parser.add_argument(
        "--points", type=int, help="of a path (default: 25) or a side of a plane (default: 21)"
    )
    parser.add_argument("--restarts", type=int, default=8, help="starts of weight matching (default: 8)")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")


def _run(arguments: Namespace) -> Outcome:
    store = open_lab(arguments)
    nodes = [_node(store, text) for text in (arguments.a, arguments.b, arguments.c, *arguments.among) if text]
    wanted = connect_request(
        store,
        arguments.study,
        nodes,
        _what(arguments, len(nodes)),
        arguments.method,
        [one for one in arguments.renormalize if one != "none"],
        arguments.curve,
        _steps(arguments.steps),
        arguments.points,
        arguments.restarts,
        arguments.seed,
    )
    row = stored(store, wanted, store.traces.version(wanted.study))
    return once(store, "connect", wanted.study, wanted.spec, row, _outcome)


def _node(store: Store, text: str) -> Node:
    arm, _, rest = text.partition(":")
    if not rest.endswith(".safetensors"):
        return read_node(text)
    path = Path(rest)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LabError(
            "The network cannot be read", f"`{path}`: {error.strerror}.", "Name another file."
        ) from error
    return Node(arm, file=networks.keep(store, content, path.name), name=path.name)


def _what(arguments: Namespace, nodes: int) -> str:
    if arguments.merge:
        return "merge"
    if arguments.among:
        return "matrix"
    return {1: "pruning", 2: "path"}.get(nodes, "plane")


def _steps(given: list[str] | None) -> list[int]:
    if unread := [one for one in given or [] if not one.isdecimal()]:
        raise LabError("Steps not understood", f"`--steps` must be numbers; got {unread[0]!r}.", "Mend it.")
    return [int(one) for one in given or []]


def _outcome(store: Store, row: AnalysisRow, first: str) -> Outcome:
    told = row.summary
    lines = [first, "", *_TEXTS[told["what"]](told, load(store, row))]
    data = {"job": row.job, "study": row.study, "status": "done", "analysis": row.id, "summary": told}
    return Outcome("\n".join(lines), data)


def _path(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    headings = (
        "path",
        "corrected",
        "on",
        "chord barrier",
        "mean barrier",
        "accuracy drop",
        "half-way accuracy",
    )
    rows = [
        (
            one["method"], one["renormalize"], one["split"],
            "overflows" if one["overflows"] else _number(one["loss_chord"]), _number(one["loss_mean"]),
            _number(one["accuracy_chord"]), _number(one["midpoint"]["accuracy"]),
        )
        for one in told["barriers"]
    ]  # fmt: skip
    lines = [table(headings, rows), ""]
    for one in told["matchings"]:
        null = one["null"]
        beside = f"; untrained networks reach {_number(null['mean'])}" if null else ""
        lines.append(
            f"Matched by {one['method']}: distance {_number(one['distance_before'])} to "
            f"{_number(one['distance_after'])}, cosine {_number(one['similarity_before'])} to "
            f"{_number(one['similarity_after'])}{beside}."
        )
    lines += [f"Not done, {one['method']} {one['renormalize']}: {one['why']}" for one in told["refused"]]
    return lines


def _matrix(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    n = len(told["nodes"])
    pairs = np.triu_indices(n, 1)
    rows = []
    for at, step in enumerate(told["steps"] or ["last"]):
        for m, method in enumerate(told["methods"]):
            values = arrays["loss_chord"][at, m, -1][pairs]
            rows.append((step, method, len(values), *(_number(float(one)) for one in _spread(values))))
    return [table(("step", "method", "pairs", "median", "least", "most"), rows)]


def _spread(values: np.ndarray) -> tuple[np.floating[Any], ...]:
    return np.median(values), values.min(), values.max()


def _plane(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    rows = [
        (method, split, *(_number(float(one)) for one in _spread(arrays["loss"][m, s])))
        for m, method in enumerate(told["methods"])
        for s, split in enumerate(told["splits"])
    ]
    return [table(("method", "on", "median loss", "least", "most"), rows)]


def _merge(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    kinds = dict.fromkeys((one["what"], one["split"]) for one in told["merges"])
    rows = []
    for what, split in kinds:
        some = [one for one in told["merges"] if (one["what"], one["split"]) == (what, split)]
        losses = [one["loss"] for one in some if one["loss"] is not None]
        accuracies = [one["accuracy"] for one in some if one["accuracy"] is not None]
        rows.append(
            (what, split, len(some), _number(float(np.mean(losses)) if losses else None),
             _number(float(np.mean(accuracies)) if accuracies else None))
        )  # fmt: skip
    lines = [table(("what", "on", "networks", "loss", "accuracy"), rows)]
    if told["cycle_consistency"] is not None:
        lines += [
            "",
            f"Pairwise matchings agree around triples for {told['cycle_consistency']:.1%} of units.",
        ]
    return lines


def _pruning(told: dict[str, Any], arrays: dict[str, np.ndarray]) -> list[str]:
    rows = [
        (
            f"{sparsity:.0%}",
            how,
            _number(float(arrays["loss"][h, -1, s])),
            _number(float(arrays["accuracy"][h, -1, s])),
        )
        for s, sparsity in enumerate(arrays["sparsities"])
        for h, how in enumerate(told["renormalize"])
    ]
    return [table(("sparsity", "corrected", "loss", "accuracy"), rows)]


_TEXTS = {"path": _path, "matrix": _matrix, "plane": _plane, "merge": _merge, "pruning": _pruning}


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.4g}"


COMMAND = Command(
    "connect", "Say what lies between trained networks: paths, barriers, planes.", _arguments, _run
)
