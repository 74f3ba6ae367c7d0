"""One job closely: how far it is, on what, what it says, and what can be done with it."""

import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import queries
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.live import live
from dashboard.train_queue import STATUS, took
from dashboard.training import progress, resumable, resume_button, seconds_left, stop_button
from dashboard.wording import ago, count, duration, escaped, failure, message, spans
from data.errors import LabError
from data.rows import JobRow
from engine.jobs.kinds import KINDS
from engine.jobs.request import request

_TAIL_BYTES, _TAIL_LINES = 16_000, 40


def show(lab: Lab, number: int) -> None:
    """Show a job; while it waits or works, again every few seconds."""
    link("train", "All jobs", ":material/arrow_back:")
    job = lab.store.catalog.job(number)
    live(lab, job.study, lambda: _show(lab, number))
    _asked(job)


def _show(lab: Lab, number: int) -> None:
    job = lab.store.catalog.job(number)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(
            f"### {KINDS[job.kind].doing} {escaped(job.study)} :{STATUS[job.status]}-badge[{job.status}]",
            width="stretch",
        )
        if job.status in queries.ACTIVE:
            stop_button(lab, job)
        elif job.id in {other.id for other in resumable(lab.store)}:
            resume_button(lab, job, "primary")
    host = f" · at work on {escaped(job.host)}" if job.host and job.status == "running" else ""
    st.caption(f"Job {job.id} · asked for {ago(job.created_at)} by {escaped(job.person)}{host}")
    if job.status in queries.ACTIVE:
        progress(lab, job)
    if job.status == "running":
        _figures(lab, job)
    _ending(lab, job)
    _runs(lab, job)
    _log(lab, job)


def _figures(lab: Lab, job: JobRow) -> None:
    unit = KINDS[job.kind].unit
    device = f"GPU {job.gpu}" if job.gpu is not None else lab.store.catalog.device_of(job.id) or "–"
    since = None if job.started_at is None else (datetime.now(UTC) - job.started_at).total_seconds()
    with st.container(horizontal=True, gap="small"):
        for label, value in (
            (f"{unit.capitalize()}s done", f"{job.step:,} of {job.steps:,}"),
            (f"{unit.capitalize()}s a second", f"{job.rate:,.0f}" if job.rate else "–"),
            ("Time left", duration(seconds_left(job))),
            ("At work for", duration(since)),
            ("Device", device.upper() if device in ("cpu", "cuda") else device),
        ):
            st.metric(label, value, border=True)
    if job.message:
        st.caption(message(job.message.partition(" · ")[0]))


def _ending(lab: Lab, job: JobRow) -> None:
    """Say how a job ended and what one can do now."""
    if job.error is not None:
        said = st.error if job.status == "failed" else st.warning
        said(failure(job.error), icon=":material/error:")
    if job.status == "stopped" and job.error is None:
        at = f" at {job.step:,} of {count(job.steps, KINDS[job.kind].unit)}" if job.steps else ""
        st.info(f"It was stopped{at}. What it has written is kept.", icon=":material/stop_circle:")
    if job.status == "done":
        result = job.result or {}
        told = f"It is done; it {took(job)}." if took(job) else "It is done."
        if "runs" in result:
            told += f" {count(result['runs'], 'run')}, {count(result.get('rows', 0), 'row')} kept."
            if result.get("diverged"):
                told += f" {count(result['diverged'], 'run')} diverged."
        st.success(told, icon=":material/check_circle:")


def _runs(lab: Lab, job: JobRow) -> None:
    states = [run for run in lab.store.catalog.run_states() if run.job == job.id]
    if not states:
        return
    counted = Counter[str](run.status for run in states)
    named = " ".join(f":{STATUS.get(name, 'orange')}-badge[{n} {name}]" for name, n in counted.items())
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.markdown(f"{count(len(states), 'run')} {named}")
        link("traces", "Traces", ":material/show_chart:", study=states[0].study)
        link("runs", "Runs", ":material/table_rows:", study=states[0].study)


def _log(lab: Lab, job: JobRow) -> None:
    path = lab.store.logs / f"{job.id}.log"
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"):
        st.markdown("**Log**", width="stretch")
        if path.exists():
            st.download_button(
                "Whole log", path.read_bytes, f"job-{job.id}.log", "text/plain",
                icon=":material/download:", key=f"train.log.{job.id}", type="tertiary", on_click="ignore",
            )  # fmt: skip
    text = tail(path)
    if text:
        st.code(text, language=None, height=240, wrap_lines=True)
    else:
        terminal = job.status != "queued" and not path.exists()
        st.caption("It began in a terminal, which has its log." if terminal else "It has said nothing yet.")


def tail(path: Path) -> str:
    """Return the last lines of a log, "" where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
            text = log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-_TAIL_LINES:])


def _asked(job: JobRow) -> None:
    """Say what was asked for, and the command line that asks for it again."""
    if job.kind != "train" or "study" not in job.spec:
        return
    spec: dict[str, Any] = job.spec
    seeds = sorted(int(seed) for seed in spec.get("seeds", []))
    parts = [f"arms {', '.join(escaped(arm) for arm in spec.get('arms', []))}", f"seeds {spans(seeds)}"]
    parts += [f"`{key}={value}`" for key, value in (spec.get("overrides") or {}).items()]
    parts.append(f"device {spec.get('device', 'auto')}")
    st.caption(f"What was asked for: {' · '.join(parts)}")
    try:
        text = f"{seeds[0]}..{seeds[-1]}" if seeds else None
        asked = request(
            spec["study"], spec.get("overrides"), spec.get("arms"), text, spec.get("device", "auto")
        )
    except LabError:  # of a study that is not there any more, or has other settings by now
        return
    st.code(asked.command, language="bash", wrap_lines=True)
