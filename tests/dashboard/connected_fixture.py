"""Keeps made-up connections of the demo study's networks, in the shape of the real ones."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from data import analyses, checkpoints
from data.store import Store
from engine.jobs.connect_request import KIND, SPARSITIES, Node, connect_request
from engine.studies import study

STUDY = study("digits-shuffling").name
STEPS = (0, 640, 3776)
SPLITS = ["train", "test"]
FOUR = (Node("SS", 0), Node("SS", 1), Node("RR", 0), Node("RR", 1))
SIX = (*FOUR, Node("SS", 2), Node("RR", 2))
LAYERS = ("layers.0", "layers.1", "head")


def keep_weights(store: Store) -> None:
    """Keep small weights of every run at every step."""
    runs = sorted(store.catalog.runs(STUDY), key=lambda run: run.id)
    ids = [run.id for run in runs]
    rng = np.random.default_rng(0)
    for step in STEPS:
        weights = {"head.weight": rng.normal(size=(len(ids), 2, 3)).astype(np.float32)}
        checkpoints.save(store, runs[0].job, "weights", step, ids, weights)


def add_connections(store: Store) -> dict[str, int]:
    """Keep weights and one connection of every kind; return the numbers of the connections by kind."""
    keep_weights(store)
    return {
        "path": add_path(store),
        "matrix": add_matrix(store),
        "plane": add_plane(store),
        "merge": add_merge(store),
        "pruning": add_pruning(store),
    }


def _save(
    store: Store,
    what: str,
    nodes: Sequence[Node],
    summary: dict[str, Any],
    arrays: dict[str, np.ndarray],
    **wanted: Any,
) -> int:
    asked = connect_request(store, STUDY, nodes, what, **wanted)
    summary = {"splits": SPLITS, "task": "classes"} | summary
    summary |= {
        "what": what, "nodes": [asdict(node) | {"label": node.label} for node in nodes],
        "points": asked.points,
    }  # fmt: skip
    return analyses.save(
        store, STUDY, KIND, asked.spec, summary, arrays, code_version="test", seed=asked.seed
    ).id


def add_path(
    store: Store,
    a: Node = FOUR[0],
    b: Node = FOUR[1],
    overflows: bool = False,
    task: str = "classes",
) -> int:
    """Keep a path: naive with a high barrier, matched with a low one, RESET refused; perhaps an overflow."""
    lambdas = np.linspace(0, 1, 11)
    bump = 4 * lambdas * (1 - lambdas)
    heights = {("naive", "none"): 1.2, ("naive", "repair"): 0.4, ("weights", "none"): 0.08,
               ("weights", "repair"): 0.04, ("bezier", "none"): 0.02}  # fmt: skip
    ends = np.array([0.10, 0.06])
    loss = np.array(
        [
            [height * scale * bump + ends[0] + (ends[1] - ends[0]) * lambdas for scale in (1.0, 0.9)]
            for height in heights.values()
        ]
    )
    accuracy = 0.98 - loss / 4 if task != "values" else np.full_like(loss, np.nan)
    if overflows:
        loss[0, :, 4:7] = [np.inf, np.nan, np.inf]
        accuracy[0, :, 4:7] = 0.1
    barriers = [
        _barrier(lambdas, loss[p, s], accuracy[p, s], task)
        | {"method": method, "renormalize": how, "split": split}
        for p, (method, how) in enumerate(heights)
        for s, split in enumerate(SPLITS)
    ]
    matching = {
        "method": "weights", "distance_before": 20.7, "distance_after": 15.1, "similarity_before": 0.003,
        "similarity_after": 0.49, "null": {"mean": 0.25, "sd": 0.003, "pairs": 3}, "starts": [0.48, 0.49],
        "groups": {"layers.0": 64, "layers.1": 64}, "notes": ["`head` is pinned: it is the output."],
    }  # fmt: skip
    diagnostics = [
        {"method": method, "layer": layer, "variance_ratio": at / (1 + depth), "norm_ratio": 0.7 + at / 8,
         "linearity_gap": None if layer == "head" else 0.1 * (1 - at), "distance": 9.0 - depth}
        for method, at in (("naive", 0.5), ("weights", 0.9))
        for depth, layer in enumerate(LAYERS)
    ]  # fmt: skip
    why = "`reset` needs batch normalization; this network has none."
    summary = {
        "rows": {"train": 1024, "test": 773}, "task": task, "barriers": barriers, "matchings": [matching],
        "paths": [{"method": method, "renormalize": how} for method, how in heights],
        "refused": [{"method": "naive", "renormalize": "reset", "why": why}], "diagnostics": diagnostics,
    }  # fmt: skip
    # Another seed is another key: what is drawn is kept by it.
    return _save(
        store, "path", (a, b), summary, {"lambdas": lambdas, "loss": loss, "accuracy": accuracy},
        renormalize=("repair", "reset"), curve="bezier", points=11, seed=2 * (task == "values") + overflows,
    )  # fmt: skip


def _barrier(lambdas: np.ndarray, loss: np.ndarray, accuracy: np.ndarray, task: str) -> dict[str, Any]:
    lost = not np.isfinite(loss).all()
    chord = loss - ((1 - lambdas) * loss[0] + lambdas * loss[-1])
    fall = (1 - lambdas) * accuracy[0] + lambdas * accuracy[-1] - accuracy
    valued = task == "values"
    half = len(lambdas) // 2
    return {
        "loss_chord": None if lost else float(chord.max()),
        "loss_mean": None if lost else float(loss.max() - (loss[0] + loss[-1]) / 2),
        "accuracy_chord": None if valued else float(fall.max()),
        "accuracy_mean": None if valued else float((accuracy[0] + accuracy[-1]) / 2 - accuracy.min()),
        "at": 0.4 if lost else float(lambdas[chord.argmax()]), "overflows": lost,
        "midpoint": {
            "loss": float(loss[half]) if np.isfinite(loss[half]) else None,
            "accuracy": None if valued else float(accuracy[half]),
        },
        "ends": {
            "loss": [float(loss[0]), float(loss[-1])],
            "accuracy": [None, None] if valued else [float(accuracy[0]), float(accuracy[-1])],
        },
    }  # fmt: skip


def add_matrix(
    store: Store,
    nodes: Sequence[Node] = SIX,
    steps: Sequence[int] = STEPS,
    overflows: bool = False,
    methods: Sequence[str] = ("weights", "activations"),
) -> int:
    """Keep the barriers of all pairs: growing with the step, a tenth of that where matched."""
    named = ["naive", *methods]
    n, times = len(nodes), max(len(steps), 1)
    rng = np.random.default_rng(1)
    base = rng.uniform(0.5, 1.5, (n, n))
    base = (base + base.T) / 2
    np.fill_diagonal(base, 0.0)
    scale = np.linspace(0.1, 1.0, times) if times > 1 else np.ones(1)
    matched = np.array([1.0, *(0.1 / (1 + m) for m in range(len(methods)))])
    loss = scale[:, None, None, None, None] * matched[None, :, None, None, None] * base
    loss = np.repeat(loss, len(SPLITS), axis=2)
    if overflows:
        loss[-1, 0, :, 0, 1] = loss[-1, 0, :, 1, 0] = np.inf
    finite = np.where(np.isfinite(loss), loss, 1.0)
    similarity = np.broadcast_to(0.3 * np.eye(n) + 0.2, (times, len(named), n, n)).copy()
    arrays = {
        "loss_chord": loss, "loss_mean": loss * 1.1, "accuracy_chord": finite / 4,
        "accuracy_mean": finite / 3, "similarity": similarity,
    }  # fmt: skip
    return _save(
        store, "matrix", nodes, {"methods": named, "steps": list(steps)}, arrays,
        methods=tuple(methods), steps=tuple(steps), seed=int(overflows),
    )  # fmt: skip


def add_plane(store: Store, overflows: bool = False) -> int:
    """Keep the planes of three networks, naive and matched."""
    axis = np.linspace(-2, 12, 9)
    across, up = np.meshgrid(axis, axis)
    anchors = np.array([[0.0, 0.0], [10.0, 0.0], [4.0, 9.0]])
    away = np.min([np.hypot(across - x, up - y) for x, y in anchors], axis=0)
    loss = np.stack([[np.exp(away / 2 - 3) * scale for _ in SPLITS] for scale in (1.0, 0.3)])
    if overflows:
        loss[0, :, 0, 0] = np.inf
    arrays = {
        "x": np.stack([axis, axis]), "y": np.stack([axis, axis]), "loss": loss,
        "accuracy": np.clip(1 - np.where(np.isfinite(loss), loss, 1) / 4, 0, 1),
        "anchors": np.stack([anchors, anchors * 0.8]),
    }  # fmt: skip
    return _save(
        store, "plane", FOUR[:3], {"methods": ["naive", "weights"]}, arrays, points=9, seed=int(overflows)
    )


def add_merge(store: Store, overflows: bool = False) -> int:
    """Keep a merge of four networks."""
    values = {"ensemble": 0.05, "naive": 1.9, "mean": 0.09, "cycle": 0.08}
    rows = []
    for split in SPLITS:
        rows += [
            {"what": "member", "split": split, "loss": 0.07 + 0.01 * at, "accuracy": 0.98} for at in range(4)
        ]
        rows += [
            {"what": what, "split": split, "loss": None if overflows and what == "naive" else loss,
             "accuracy": 1 - loss / 3}
            for what, loss in values.items()
        ]  # fmt: skip
    summary = {
        "merges": rows, "cycle_consistency": 0.135,
        "distances": {name: {"before": 24.4, "after": 17.8} for name in ("mean", "cycle")},
    }  # fmt: skip
    return _save(store, "merge", FOUR, summary, {"members": np.arange(4)}, seed=int(overflows))


def add_pruning(store: Store, overflows: bool = False) -> int:
    """Keep a pruned network, corrected by REPAIR; RESET is refused."""
    sparsities = np.array(SPARSITIES)
    loss = np.stack([np.stack([0.1 + 2 * sparsities**power] * 2) for power in (6, 16, 16)])
    if overflows:
        loss[0, :, -1] = np.inf
    accuracy = 1 - np.where(np.isfinite(loss), loss, 2) / 3
    loss[2], accuracy[2] = np.nan, np.nan
    why = "`reset` needs batch normalization; this network has none."
    summary = {
        "renormalize": ["none", "repair", "reset"], "refused": [{"renormalize": "reset", "why": why}],
    }  # fmt: skip
    arrays = {"sparsities": sparsities, "loss": loss, "accuracy": accuracy}
    return _save(
        store, "pruning", FOUR[:1], summary, arrays, renormalize=("repair", "reset"), seed=int(overflows)
    )
