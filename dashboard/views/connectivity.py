"""Whether solutions are one basin: paths, all pairs over training, planes, merges, pruning."""

from typing import NamedTuple

import streamlit as st

from dashboard import (
    connection_matrix,
    connection_merge,
    connection_path,
    connection_plane,
    connection_pruning,
    connections,
)
from dashboard.connect_form import await_result, connect_form
from dashboard.controls import Choice, choose
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.training import at_work, job_card, last_failure

TITLE = "Connectivity"
ICON = ":material/hub:"
QUESTION = "Are two solutions one basin?"
ORDER = 70


class _Part(NamedTuple):
    """A part of the page.

    Attributes:
        what: the connections it shows.
        empty: a title where there is none.
        about: what it is, in a few sentences.
        command: what asks for one on the command line, after the study.
    """

    what: str
    empty: str
    about: str
    command: str


PARTS = {
    "Path": _Part(
        "path",
        "No two networks have been connected yet",
        "On the straight line between two trained networks, (1 − λ) A + λ B, the loss usually "
        "rises: this rise "
        "above the line between the two ends is the **barrier**. Without one, both lie in one "
        "basin. But the units "
        "of a layer can be relabelled without changing what a network does: a barrier may only say that two "
        "networks number their units differently. So the units of B are first **matched** to "
        "those of A, and the "
        "statistics that averaging shrinks are **corrected**; what is left is a barrier between solutions.",
        '--a "{0}" --b "{1}" --method weights,activations --renormalize repair',
    ),
    "Matrix": _Part(
        "matrix",
        "Not all pairs have been measured yet",
        "The **barrier** between every two of many networks, as they are and matched, at several "
        "checkpoints: do "
        "all seeds end in one basin, do arms part, and from which step on does the barrier vanish or grow?",
        '--a "{0}" --among "{1}" --among "{2}"',
    ),
    "Plane": _Part(
        "plane",
        "No plane has been cut yet",
        "Three networks span a plane of weights. The loss on it shows whether each sits in a "
        "valley of its own, "
        "with **barriers** between, or all in one; once they are matched, often in one.",
        '--a "{0}" --b "{1}" --c "{2}"',
    ),
    "Merge": _Part(
        "merge",
        "No networks have been merged yet",
        "The mean of several networks' weights is one network. It is as good as its members only where no "
        "**barrier** lies between them: so they are matched first, to their mean or into one common order.",
        '--a "{0}" --among "{1}" --among "{2}" --merge',
    ),
    "Pruning": _Part(
        "pruning",
        "No network has been pruned yet",
        "The line from a network to itself without its smallest weights has a **barrier** too: activations "
        "collapse, as they do half-way between two networks, and the same correction repairs them.",
        '--a "{0}" --renormalize repair',
    ),
}  # fmt: skip
_SHOWN = {
    "path": connection_path.show, "matrix": connection_matrix.show, "plane": connection_plane.show,
    "merge": connection_merge.show, "pruning": connection_pruning.show,
}  # fmt: skip


def render(lab: Lab) -> None:
    """Choose a study, then show what lies between its networks, part by part."""
    choice = choose(lab.store, arms=False, seeds=False)
    tabs = st.tabs(list(PARTS), key=connection_matrix.PART, bind="query-params", on_change="rerun")
    for tab, part in zip(tabs, PARTS.values(), strict=True):
        if tab.open:
            with tab:
                _part(lab, choice, part)


def _part(lab: Lab, choice: Choice, part: _Part) -> None:
    study = choice.study.name
    if at_work(lab, study, "connect"):
        live(lab, study, lambda: _jobs(lab, study))
    last_failure(lab, study, "connect")
    await_result(lab)
    asking = part.what == "path" and st.session_state.pop("connectivity.asking", False)
    found = connections.rows(lab, study, part.what)
    if not found:
        with st.container(border=True, key=f"connectivity.{part.what}.empty"):
            st.subheader(part.empty, anchor=False)
            st.markdown(part.about)
            if choice.study.source == "engine":
                st.markdown(
                    f"On the command line: `python -m engine connect {study} {_example(choice, part)}`."
                )
            connect_form(lab, choice, part.what)
        return
    if asking:
        st.session_state["connectivity.path.form"] = True
        st.info(
            "No path between these two is kept yet; the form below is filled in with them.",
            icon=":material/hub:",
        )
    connection = connections.pick(lab, found, part.what)
    form = st.expander(
        "Connect other networks", key=f"connectivity.{part.what}.form", type="compact", on_change="rerun"
    )
    if form.open:
        with form:
            st.markdown(part.about)
            connect_form(lab, choice, part.what)
    if connection.row.data_version != lab.store.traces.version(study):
        st.info("The study has changed since: this is of its runs as they were.", icon=":material/history:")
    _SHOWN[part.what](lab, choice, connection)


def _jobs(lab: Lab, study: str) -> None:
    for job in at_work(lab, study, "connect"):
        job_card(lab, job)


def _example(choice: Choice, part: _Part) -> str:
    runs = [f"{run.arm}:{run.seed}" for run in choice.runs if run.arm == choice.runs[0].arm]
    return part.command.format(*(runs + [f"ARM:{seed}" for seed in range(3)])[:3])
