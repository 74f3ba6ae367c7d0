"""Asks for a network: a run's kept weights at a step, or a file that somebody uploads."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from dashboard.connections import Kept
from dashboard.controls import parse_seeds
from dashboard.lab import Lab
from data import networks
from data.errors import LabError
from engine.jobs.connect_request import Node

UPLOAD = "upload a file"
LAST = "last"
_MEGABYTES = networks.LARGEST >> 20


class Upload(NamedTuple):
    """A network's file that is kept once a connection of it starts."""

    name: str
    content: bytes


class Asked(NamedTuple):
    """What was asked for.

    Attributes:
        nodes: the networks.
        uploads: the files among them.
    """

    nodes: list[Node]
    uploads: list[Upload]


def network(kept: Kept, arms: Sequence[str], key: str, title: str, place: int) -> Asked:
    """Ask for one network.

    Args:
        kept: steps of the kept weights.
        arms: every arm whose architecture is known.
        key: of the widgets.
        title: what the network is called in the form.
        place: which of the seeds it is to begin with.

    Raises:
        LabError: a file that holds no network.
    """
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        arm = st.selectbox(title, arms, key=f"{key}.arm", width=170)
        seeds = [seed for known, seed in kept if known == arm]
        options: list[Any] = [*seeds, UPLOAD]
        if st.session_state.get(f"{key}.seed") not in options:
            st.session_state[f"{key}.seed"] = options[min(place, max(len(seeds) - 1, 0))]
        seed = st.selectbox(
            "Seed", options, key=f"{key}.seed", width=140,
            format_func=lambda one: one if one == UPLOAD else f"seed {one}",
        )  # fmt: skip
        if seed != UPLOAD:
            steps: list[Any] = [LAST, *reversed(kept[arm, int(seed)])]
            if st.session_state.get(f"{key}.step") not in steps:
                st.session_state[f"{key}.step"] = LAST
            step = st.selectbox(
                "Checkpoint", steps, key=f"{key}.step", width=150,
                format_func=lambda one: "the last" if one == LAST else f"step {one:,}",
            )  # fmt: skip
            return Asked([Node(arm, int(seed), None if step == LAST else int(step))], [])
    return _files(arm, key, False)


def networks_of(kept: Kept, arms: Sequence[str], key: str, over_training: bool) -> Asked:
    """Ask for several networks: arms, seeds, a checkpoint where they are of one, and files.

    Raises:
        LabError: seeds that cannot be read, or a file that holds no network.
    """
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        chosen = st.multiselect("Arms", arms, default=arms[:1], key=f"{key}.arms", width=300)
        text = st.text_input(
            "Seeds", "0..5", key=f"{key}.seeds", width=150, help="For example `0..3, 7`; empty means all."
        )
        step = LAST
        if not over_training:
            common = sorted({step for (arm, _), steps in kept.items() if arm in chosen for step in steps})
            options: list[Any] = [LAST, *reversed(common)]
            if st.session_state.get(f"{key}.step") not in options:
                st.session_state[f"{key}.step"] = LAST
            step = st.selectbox(
                "Checkpoint", options, key=f"{key}.step", width=150,
                format_func=lambda one: "the last" if one == LAST else f"step {one:,}",
            )  # fmt: skip
    seeds = parse_seeds(text or "")
    at = None if step == LAST else int(step)
    nodes = [
        Node(arm, seed, at)
        for arm in chosen
        for known, seed in kept
        if known == arm and (seeds is None or seed in seeds)
    ]
    if not st.toggle("Add networks from files", key=f"{key}.files") or not chosen:
        return Asked(nodes, [])
    more = _files(chosen[0], key, True)
    return Asked([*nodes, *more.nodes], more.uploads)


def _files(arm: str, key: str, several: bool) -> Asked:
    given = st.file_uploader(
        f"Weights of a network built like {arm}", type=None, key=f"{key}.file", max_upload_size=_MEGABYTES,
        accept_multiple_files=several,
        help="A safetensors file with the state dict, as `safetensors.torch.save_file(model.state_dict(), "
        "...)` writes it. It holds numbers alone; nothing in it is run.",
    )  # fmt: skip
    files = [] if given is None else given if isinstance(given, list) else [given]
    uploads = [Upload(one.name, one.getvalue()) for one in files]
    nodes = [Node(arm, file=_checked(one.content, one.name), name=one.name) for one in uploads]
    if not several and not nodes:
        raise LabError(
            "A network is missing", f"No file is there for a network of {arm}.", "Choose one, or a seed."
        )
    return Asked(nodes, uploads)


@st.cache_data(max_entries=16, show_spinner=False)
def _checked(content: bytes, name: str) -> str:
    """Return the name under which a network's file will be kept.

    Raises:
        LabError: it is none.
    """
    networks.read(content, name)
    return hashlib.sha256(content).hexdigest()


def keep(lab: Lab, uploads: Sequence[Upload]) -> None:
    """Keep the files of networks.

    Raises:
        LabError: one that holds no network, or a full disk.
    """
    for one in uploads:
        networks.keep(lab.store, one.content, one.name)
