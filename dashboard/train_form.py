"""The form that queues a training: what to train, how long it is likely to take, what it asks of the disk."""

from collections.abc import Sequence

import streamlit as st

from dashboard import train_settings
from dashboard.lab import Lab
from dashboard.training import locked
from dashboard.wording import count, duration, failure
from data.errors import LabError
from data.rows import JobRow
from data.store import Store
from engine.jobs import queue
from engine.jobs.capacity import gpus
from engine.jobs.limits import GIB, stored
from engine.jobs.request import Request, measured_seconds, request, size_told
from engine.studies import studies

_REFUSED = "train.refused"
DEVICES = {"auto": "a GPU where there is one", "cpu": "CPU", "cuda": "GPU"}


def form(lab: Lab) -> None:
    """Ask what to train; queue it at a click."""
    known = studies()
    name = st.selectbox(
        "Study", list(known), format_func=lambda one: known[one].title, key="train.study",
        bind="query-params", help="Every study that comes with the lab, and those in engine/studies.",
    )  # fmt: skip
    study = known[name]
    st.markdown(f":small[{study.claim}]" + (f" :small[:gray[{study.source}.]]" if study.source else ""))
    arms = st.multiselect(
        "Arms", [arm.name for arm in study.arms], key=f"train.arms.{name}", placeholder="All arms",
        help="Fewer arms are trained faster; a verdict needs those that the claim compares.",
    )  # fmt: skip
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        seeds = st.text_input(
            "Seeds", key="train.seeds", bind="query-params", placeholder=f"{study.seeds}", width=150,
            help="`16` trains seeds 0 to 15; `4..7` trains 4, 5, 6 and 7. Empty: as many as the study says.",
        )  # fmt: skip
        device = st.segmented_control(
            "Device", list(DEVICES), default="auto", required=True, key="train.device", bind="query-params",
            help=_devices(),
        )  # fmt: skip
    overrides = train_settings.ask(study)
    jobs = lab.store.catalog.jobs()
    try:
        wanted = request(name, overrides, arms or None, seeds.strip() or None, device or "auto")
    except LabError as error:
        st.warning(failure(error), icon=":material/data_alert:")
        return
    st.markdown("\n".join(f"- {line}" for line in expectations(wanted, jobs)))
    why = locked(lab)
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        if st.button(
            "Train", icon=":material/play_arrow:", type="primary", key="train.start", disabled=bool(why),
            help=why or "It is queued, and begins in its turn; this page can be closed meanwhile.",
        ):  # fmt: skip
            _start(lab, wanted)
            st.rerun()
        st.caption(why or limits_told(lab, jobs))
    if (refused := st.session_state.pop(_REFUSED, None)) is not None:
        st.error(failure(refused), icon=":material/error:")
    st.caption("The same on the command line; `--queue` lets it wait in its turn, too:")
    st.code(wanted.command, language="bash", wrap_lines=True)


def _devices() -> str:
    there = len(gpus())
    told = count(there, "GPU") if there else "no GPU"
    return f"auto takes a GPU where there is one. This machine has {told}; each is for one job alone."


def _start(lab: Lab, wanted: Request) -> None:
    try:
        queue.submit_training(lab.store, wanted)
    except LabError as error:  # said beside the button, where the choice stands that was refused
        st.session_state[_REFUSED] = error


def expectations(wanted: Request, jobs: Sequence[JobRow]) -> list[str]:
    """Say how large a training is, how long it is likely to take and what it needs of the disk."""
    steps = count(wanted.study.steps, "step")
    size = f"{count(wanted.runs, 'run')} of {'up to ' if len(wanted.arms) > 1 else ''}{steps}"
    return [
        f"**{size}**",
        time_told(wanted, jobs),
        f"up to {size_told(wanted.disk_bytes)} of the disk while it works",
    ]


def time_told(wanted: Request, jobs: Sequence[JobRow]) -> str:
    """Say how long a training is likely to take: as measured here, else as the study says."""
    measured = measured_seconds(wanted, jobs)
    if measured is not None:
        return f"about {duration(measured[0])}, judged by job {measured[1]} here"
    study = wanted.study
    whole, where = study.expected_seconds, "on 2 CPU cores"
    if study.expected_gpu_seconds and (whole is None or (wanted.device != "cpu" and gpus())):
        whole, where = study.expected_gpu_seconds, "on a GPU"
    if whole is None:
        return "no training of about this size has been timed here yet"
    every = wanted.seeds == range(study.seeds) and len(wanted.arms) == len(study.arms)
    if every and not wanted.overrides:
        return f"about {duration(whole)} {where}"
    return f"not timed at this size yet; as it is defined it takes about {duration(whole)} {where}"


def limits_told(lab: Lab, jobs: Sequence[JobRow]) -> str:
    """Say what whoever looks may take, and what of it is used."""
    person = lab.access.person
    if person.local:
        return "An account of this machine has no limits."
    may = lab.store.catalog.limits_for(person.name)
    own = [job for job in jobs if job.person == person.name and job.kind != "log"]
    running = sum(job.status == "running" for job in own)
    active = running + sum(job.status == "queued" for job in own)
    parts = [
        f"{running} of {may.running or 'any number of'} jobs at work",
        f"{active} of {may.queued or 'any number of'} in all",
    ]
    if may.storage_gb:
        kept = _stored(str(lab.store.root), person.name, lab.store) / GIB
        parts.append(f"{kept:,.1f} of {may.storage_gb:g} GiB kept")
    told = f"You have {', '.join(parts)}."
    bounds = [f"{may.seeds:,} runs" if may.seeds else "", f"{may.hours:g} hours of work" if may.hours else ""]
    if any(bounds):
        told += f" A training may have {' and '.join(filter(None, bounds))}."
    return told


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _stored(root: str, person: str, _store: Store) -> int:
    return stored(_store, person)
