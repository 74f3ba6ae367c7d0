"""The form that connects networks: which, how, and what is wrong, said beside it before anything starts."""

import shlex
from collections.abc import Sequence

import streamlit as st

from dashboard import connections, network_picker
from dashboard.callbacks import act
from dashboard.charts.palette import CORRECTION_NAMES, METHOD_NAMES
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.network_picker import Asked, Upload
from dashboard.parts import part
from dashboard.training import at_work, awaited
from dashboard.wording import failure
from data.errors import LabError
from engine.jobs import queue
from engine.jobs.connect_request import (
    CURVES,
    METHODS,
    RENORMALIZE,
    ConnectRequest,
    Node,
    connect_request,
    stored,
)

_AWAITED, _STARTED = "connectivity.awaited", "connectivity.started"
BUTTONS = {
    "path": "Connect them", "matrix": "Measure all pairs", "plane": "Cut the plane", "merge": "Merge them",
    "pruning": "Prune it",
}  # fmt: skip
_TITLES = {"path": ("From", "To"), "plane": ("First", "Second", "Third"), "pruning": ("Network",)}
POINTS = {"path": 25, "matrix": 25, "plane": 21}
_NOTHING = "none"


def connect_form(lab: Lab, choice: Choice, what: str) -> None:
    """Ask which networks are connected and how; start the job, or show the result where it is kept."""
    part(lambda: _form(lab, choice, what))


def fill_in(what: str, nodes: Sequence[Node]) -> None:
    """Write networks into a form, from the page's next run on."""
    for place, node in enumerate(nodes):
        key = f"connect.{what}.{place}"
        st.session_state[f"{key}.arm"] = node.arm
        if node.seed is not None:
            st.session_state[f"{key}.seed"] = node.seed
            st.session_state[f"{key}.step"] = network_picker.LAST if node.step is None else node.step
        else:
            st.session_state[f"{key}.seed"] = network_picker.UPLOAD


def await_result(lab: Lab) -> None:
    """Choose the result of the job that was started here, once it is there."""
    if (row := awaited(lab, _AWAITED)) is not None:
        connections.show_connection(row)


def command(wanted: ConnectRequest) -> str:
    """Return the command line that asks for the same."""
    names = [
        f"{node.arm}:{node.name}" if node.file else f"{node.arm}:{node.seed}"
        + ("" if node.step is None else f"@{node.step}")
        for node in wanted.nodes
    ]  # fmt: skip
    many = wanted.what in ("matrix", "merge")
    flags = ["--a", *(["--among"] * (len(names) - 1) if many else ["--b", "--c"])]
    told = [text for pair in zip(flags, names, strict=False) for text in pair]
    told += ["--merge"] * (wanted.what == "merge")
    if wanted.what not in ("merge", "pruning") and wanted.methods != ("weights",):
        told += ["--method", ",".join(wanted.methods)]
    if wanted.renormalize:
        told += ["--renormalize", ",".join(wanted.renormalize)]
    if wanted.curve:
        told += ["--curve", wanted.curve]
    if wanted.steps:
        told += ["--steps", ",".join(map(str, wanted.steps))]
    if wanted.points != POINTS.get(wanted.what, 25):
        told += ["--points", str(wanted.points)]
    for flag, value, usual in (("--restarts", wanted.restarts, 8), ("--seed", wanted.seed, 0)):
        told += [flag, str(value)] * (value != usual)
    return shlex.join(["python", "-m", "engine", "connect", wanted.study, *told])


def _form(lab: Lab, choice: Choice, what: str) -> None:
    if st.session_state.pop(_STARTED, False):
        st.rerun()  # out of this part of the page, to the job or the result above it
    if choice.study.source != "engine":
        st.info(
            "This study was made elsewhere: how its networks are built is not known here, and logs hold no "
            "weights. Networks of a model that the lab has can be connected: train a study with that model, "
            "then choose it here and, as a seed, *upload a file* with the weights (safetensors).",
            icon=":material/hub:",
        )
        return
    kept = connections.kept_weights(lab.store, choice.runs)
    if not kept:
        st.caption(
            "No run of this study has kept weights yet: they are kept when a training ends, and at the "
            "checkpoints that a study names."
        )
        return
    wanted, asked = None, Asked([], [])
    try:
        asked = _networks(choice, kept, what)
    except LabError as error:
        _wrong(error)
    methods, renormalize, curve = _methods(what)
    steps = _steps(asked, kept) if what == "matrix" else ()
    points, restarts, seed = _numbers(what)
    if asked.nodes:
        try:
            wanted = connect_request(
                lab.store, choice.study.name, asked.nodes, what, methods, renormalize, curve, steps, points,
                restarts, seed,
            )  # fmt: skip
        except LabError as error:
            _wrong(error)
    busy = bool(at_work(lab, choice.study.name, "connect"))
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.button(
            BUTTONS[what], icon=":material/hub:", type="primary", key=f"connect.{what}.start",
            disabled=wanted is None or not lab.access.may_change or busy, on_click=act,
            args=(_start, lab, wanted, asked.uploads),
            help="Another connection of this study is at work." if busy else None,
        )  # fmt: skip
        if wanted is not None:
            st.caption(f"On the command line: `{command(wanted)}`")


def _wrong(error: LabError) -> None:
    st.warning(failure(error), icon=":material/data_alert:")


def _networks(choice: Choice, kept: connections.Kept, what: str) -> Asked:
    """Ask for the networks.

    Raises:
        LabError: seeds that cannot be read, or a file that holds no network.
    """
    arms = [arm for arm in choice.arms if any(known == arm for known, _ in kept)]
    if what in ("matrix", "merge"):
        return network_picker.networks_of(kept, arms, f"connect.{what}", what == "matrix")
    nodes, uploads = list[Node](), list[Upload]()
    wrong: LabError | None = None
    for place, title in enumerate(_TITLES[what]):
        try:  # every network keeps its place on the page, whatever is wrong with one
            one = network_picker.network(kept, arms, f"connect.{what}.{place}", title, place)
        except LabError as error:
            wrong = wrong or error
            continue
        nodes += one.nodes
        uploads += one.uploads
    if wrong is not None:
        raise wrong
    return Asked(nodes, uploads)


def _methods(what: str) -> tuple[Sequence[str], Sequence[str], str]:
    """Ask how units are matched and corrected, and for a curve."""
    methods: Sequence[str] = ("weights",)
    renormalize: Sequence[str] = ()
    curve = ""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        if what in ("path", "matrix", "plane"):
            methods = st.pills(
                "Matched by", METHODS, selection_mode="multi", default=["weights"],
                key=f"connect.{what}.methods", format_func=lambda one: METHOD_NAMES[one],
                help="Beside the networks as they are. Weight matching: an assignment of units that brings "
                "the weights closest (Ainsworth et al. 2022). Activation matching: units that answer alike "
                "(Li et al. 2016). Straight-through: descent on the loss half-way, the slowest.",
            )  # fmt: skip
        if what in ("path", "pruning"):
            renormalize = st.pills(
                "Corrected by", RENORMALIZE, selection_mode="multi", key=f"connect.{what}.renormalize",
                default=["repair"], format_func=lambda one: CORRECTION_NAMES[one],
                help="Beside not at all. REPAIR gives each unit the mean and spread that the ends have on "
                "average, RESCALE the spread alone, RESHIFT the mean alone (Jordan et al. 2022; Qu & Horvath "
                "2024). RESET takes the statistics of batch normalization anew, and needs it.",
            )  # fmt: skip
        if what == "path":
            found = st.segmented_control(
                "Curve", (_NOTHING, *CURVES), default=_NOTHING, required=True, key="connect.path.curve",
                help="Trained between the two so that the loss stays low on it (Garipov et al. 2018).",
            )  # fmt: skip
            curve = "" if found in (None, _NOTHING) else str(found)
    return methods, renormalize, curve


def _steps(asked: Asked, kept: connections.Kept) -> tuple[int, ...]:
    """Ask at which checkpoints all pairs are measured."""
    runs = [kept[node.arm, node.seed] for node in asked.nodes if node.seed is not None]
    common = sorted(set.intersection(*map(set, runs))) if runs else []
    if len(common) < 2:
        return ()
    chosen = st.multiselect(
        "Checkpoints", common, key="connect.matrix.steps", placeholder="Only the last",
        format_func=lambda step: f"step {step:,}", width=560,
        help="With several, a slider moves through training, and a curve says when the networks become one "
        "basin. All pairs are measured at each.",
    )  # fmt: skip
    return tuple(chosen)


def _numbers(what: str) -> tuple[int | None, int, int]:
    """Ask for points, restarts and the seed."""
    points, restarts = None, 8
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        if what in POINTS:
            points = st.number_input(
                "Points a side" if what == "plane" else "Points", 3, 501, POINTS[what],
                key=f"connect.{what}.points", width=130,
                help="Networks that are measured along each path, the ends included.",
            )  # fmt: skip
        if what != "pruning":
            restarts = st.number_input(
                "Restarts", 1, 100, 8, key=f"connect.{what}.restarts", width=130,
                help="Starts of weight matching, of which the best is kept: it ends in local optima.",
            )  # fmt: skip
        seed = st.number_input(
            "Random seed", 0, 2**31 - 1, 0, key=f"connect.{what}.seed", width=150,
            help="Of the starts, and of a curve's training.",
        )  # fmt: skip
    return None if points is None else int(points), int(restarts or 8), int(seed or 0)


def _start(lab: Lab, wanted: ConnectRequest, uploads: Sequence[Upload]) -> None:
    """Show the connection where it is kept already; else have it made."""
    network_picker.keep(lab, uploads)
    row = stored(lab.store, wanted, lab.store.traces.version(wanted.study))
    if row is not None:
        connections.show_connection(row)
    else:
        st.session_state[_AWAITED] = queue.submit(lab.store, "connect", wanted.study, wanted.spec)
    st.session_state[_STARTED] = True
