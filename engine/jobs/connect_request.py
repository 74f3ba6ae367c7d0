"""Which networks a person wants connected, and how: read and checked against the store before it is made."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from data import checkpoints
from data.analyses import key_of
from data.errors import LabError
from data.rows import AnalysisRow, RunRow
from data.store import Store
from engine.jobs.fit_request import require_known
from engine.studies import Study
from engine.version import code_version

KIND = "connection"
"""What such a result is called among the analyses of a store."""
What = Literal["path", "matrix", "plane", "merge", "pruning"]
METHODS = ("weights", "activations", "ste")
RENORMALIZE = ("repair", "rescale", "reshift", "reset")
CURVES = ("bezier", "polyline")
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
_LEAST: dict[str, tuple[int, int]] = {
    "path": (2, 2), "matrix": (2, 64), "plane": (3, 3), "merge": (2, 64), "pruning": (1, 1)
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """A network: a run's weights at a step, or an uploaded file.

    Attributes:
        arm: of the run; of a file, whose architecture it has.
        seed: of the run; None of a file.
        step: of the checkpoint; None for the last.
        file: SHA-256 of an uploaded file; empty of a run.
        name: of that file.
    """

    arm: str
    seed: int | None = None
    step: int | None = None
    file: str = ""
    name: str = ""

    @property
    def label(self) -> str:
        """What figures call it."""
        if self.file:
            return self.name or self.file[:8]
        return f"{self.arm} · seed {self.seed}" + ("" if self.step is None else f" · step {self.step:,}")


@dataclass(frozen=True)
class ConnectRequest:
    """A connection that can be started.

    Attributes:
        study: a study in the store.
        what: the path between two networks, the barriers between all pairs of many, the plane through three,
            the merge of several, or one network pruned.
        nodes: the networks.
        methods: how units are matched, beside not at all.
        renormalize: how the units of merges are corrected, beside not at all.
        curve: a curve that is trained between two networks: "", "bezier" or "polyline".
        steps: checkpoints at which barriers are taken; empty for the last alone.
        points: of a path, or along each side of a plane.
        restarts: starts of weight matching.
        seed: of everything random.
    """

    study: str
    what: What
    nodes: tuple[Node, ...]
    methods: tuple[str, ...]
    renormalize: tuple[str, ...]
    curve: str
    steps: tuple[int, ...]
    points: int
    restarts: int
    seed: int

    @property
    def spec(self) -> dict[str, Any]:
        """The job's specification, as ``engine.jobs.connect`` reads it."""
        return asdict(self)


def read_node(text: str) -> Node:
    """Read ``ARM:SEED`` or ``ARM:SEED@STEP``.

    Raises:
        LabError: any other text.
    """
    found = re.fullmatch(r"(.+):(\d{1,9})(?:@(\d{1,12}))?", text.strip())
    if found is None:
        raise LabError(
            "Network not understood",
            f"A network is ARM:SEED or ARM:SEED@STEP; got {text!r}.",
            "For example SS:3, or SS:3@640 for an earlier checkpoint.",
        )
    return Node(found[1], int(found[2]), None if found[3] is None else int(found[3]))


def connect_request(
    store: Store,
    study: str,
    nodes: Sequence[Node | Mapping[str, Any]],
    what: str = "path",
    methods: Sequence[str] = ("weights",),
    renormalize: Sequence[str] = (),
    curve: str = "",
    steps: Sequence[int] = (),
    points: int | None = None,
    restarts: int = 8,
    seed: int = 0,
) -> ConnectRequest:
    """Return the connection of some networks of a study, with every default filled in.

    Args:
        store: where the study is.
        study: its name.
        nodes: the networks.
        what: see ``ConnectRequest``.
        methods: of matching.
        renormalize: methods of correction.
        curve: "", "bezier" or "polyline".
        steps: of a matrix.
        points: 25 of a path and 21 of a plane where None.
        restarts: of weight matching.
        seed: source of chance.

    Raises:
        LabError: no such study, run, checkpoint or method; too few or too many networks; networks of
            different architectures; a number out of its range.
    """
    row = store.catalog.study(study)
    if what not in get_args(What):
        raise LabError("Unknown choice", f"`what` cannot be {what!r}.", f"Choose from: {', '.join(_LEAST)}.")
    chosen = [one if isinstance(one, Node) else Node(**one) for one in nodes]
    least, most = _LEAST[what]
    if not least <= len(chosen) <= most or len(set(chosen)) < len(chosen):
        number = f"{least}" if least == most else f"{least} to {most}"
        raise LabError(
            "Number of networks",
            f"A {what} is of {number} different networks; got {len(chosen)}, {len(set(chosen))} different.",
            "Choose others, for example --a SS:0 --b SS:1.",
        )
    for name, asked, known in (
        ("method", methods, METHODS), ("renormalization", renormalize, RENORMALIZE),
        ("curve", [curve] if curve else [], CURVES),
    ):  # fmt: skip
        if unknown := [one for one in asked if one not in known]:
            raise LabError(
                f"Unknown {name}", f"There is no {name} `{unknown[0]}`.", f"Choose from: {', '.join(known)}."
            )
    points = points if points is not None else 21 if what == "plane" else 25
    for name, value, low, high in (
        ("points", points, 3, 501), ("restarts", restarts, 1, 100), ("seed", seed, 0, 2**31 - 1)
    ):  # fmt: skip
        if not low <= value <= high:
            raise LabError(
                "Number out of range", f"`{name}` must be {low} to {high}; got {value}.", "Mend it."
            )
    runs = {(run.arm, run.seed): run for run in store.catalog.runs(study, archived=True)}
    definition = _definition(store, study, row.source)
    for node in chosen:
        _require_there(store, study, node, runs, steps)
    _require_alike(definition, chosen)
    return ConnectRequest(
        study, cast(What, what), tuple(chosen), tuple(dict.fromkeys(methods)),
        tuple(dict.fromkeys(renormalize)), curve, tuple(sorted(set(steps))), points, restarts, seed,
    )  # fmt: skip


def _definition(store: Store, study: str, source: str) -> Study:
    if source != "engine":
        raise LabError(
            "No architecture",
            f"`{study}` was uploaded: how its networks are built is not known here.",
            "Connect networks of a study that was trained here, or upload weights beside one.",
        )
    return Study.from_config(store.catalog.study(study).config)


def _require_there(
    store: Store, study: str, node: Node, runs: Mapping[tuple[str, int], RunRow], steps: Sequence[int]
) -> None:
    arms = list(dict.fromkeys(arm for arm, _ in runs)) or [
        arm["name"] for arm in store.catalog.study(study).config.get("arms", [])
    ]
    require_known("arm", [node.arm], arms, study)
    if node.file:
        return
    run = runs.get((node.arm, node.seed if node.seed is not None else -1))
    if run is None:
        seeds = sorted(seed for arm, seed in runs if arm == node.arm)
        raise LabError(
            "Unknown network",
            f"`{study}` has no run of {node.arm} with seed {node.seed}.",
            f"Choose a seed from {seeds[0]} to {seeds[-1]}." if seeds else "Train it first.",
        )
    kept = checkpoints.weight_steps(store, run.id)
    at_end = kept[-1] if kept else 0
    wanted = steps or [at_end if node.step is None else node.step]
    if missing := [step for step in wanted if step not in kept]:
        told = ", ".join(f"{step:,}" for step in kept) or "none"
        raise LabError(
            "No weights were kept",
            f"{node.arm}, seed {node.seed} has no weights of step {missing[0]}.",
            f"It has those of: {told}.",
        )


def _require_alike(definition: Study, nodes: Sequence[Node]) -> None:
    """Refuse networks whose units cannot correspond."""
    first = nodes[0].arm
    for node in nodes[1:]:
        ours, theirs = (definition.of(arm) for arm in (first, node.arm))
        if (ours.model, ours.model_settings) != (theirs.model, theirs.model_settings):
            raise LabError(
                "Different architectures",
                f"{first} and {node.arm} of `{definition.name}` are different networks: {ours.model} "
                f"{dict(ours.model_settings)} and {theirs.model} {dict(theirs.model_settings)}.",
                "Connect networks of one architecture.",
            )


def stored(store: Store, wanted: ConnectRequest, data_version: str) -> AnalysisRow | None:
    """Return this very connection where it is kept already."""
    key = key_of(wanted.study, KIND, wanted.spec, code_version(), data_version, wanted.seed)
    return next((row for row in store.catalog.analyses(wanted.study, KIND) if row.key == key), None)
