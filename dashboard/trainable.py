"""The studies that come with the lab: what each asks, how large it is, how long it takes, how to train it."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import NamedTuple

import streamlit as st

from dashboard.links import link
from dashboard.wording import count, duration
from data.rows import JobRow
from engine.jobs.request import Request, measured_seconds, request
from engine.studies import studies


class _Known(NamedTuple):
    """A definition and what is told of it, which does not change while the app runs."""

    wanted: Request
    size: str


@cache
def _known() -> dict[str, _Known]:
    found = {}
    for name, study in studies().items():
        runs = f"{count(len(study.arms), 'arm')} × {count(study.seeds, 'seed')}"
        size = f"{runs}, {count(study.steps, 'step')} each"
        found[name] = _Known(request(name), size)
    return found


def names() -> Collection[str]:
    """Return the names of the studies that come with the lab."""
    return _known().keys()


def seconds_told(name: str, jobs: Sequence[JobRow], expected: float | None) -> str:
    """Say what training a study takes: as measured here, else on two cores; "" where neither is known."""
    measured = measured_seconds(_known()[name].wanted, jobs)
    if measured is not None:
        return f"trained in {duration(measured[0])} here"
    return f"about {duration(expected)} on 2 cores" if expected else ""


def show(there: Collection[str], jobs: Sequence[JobRow]) -> None:
    """List every study that comes with the lab.

    Args:
        there: the studies that the store has.
        jobs: its jobs, from which times are told.
    """
    with st.expander("Studies you can train", icon=":material/playlist_add:", key="studies.trainable"):
        for name, (wanted, size) in _known().items():
            study = wanted.study
            took = seconds_told(name, jobs, study.expected_seconds)
            if study.expected_gpu_seconds:
                took += f"{' · ' if took else ''}about {duration(study.expected_gpu_seconds)} on a GPU"
            mark = " :green-badge[in this store]" if name in there else ""
            told = " · ".join(part for part in (size, took, study.source) if part)
            st.markdown(f"**{study.title}**{mark}  \n{study.claim}  \n:small[:gray[{told}]]")
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                link("train", "Train it here", ":material/model_training:", **{"train.study": name})
                st.code(f"python -m engine train {name}", language="bash")
