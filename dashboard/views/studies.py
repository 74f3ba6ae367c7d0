"""The studies of this lab, one card each."""

from collections import Counter

import pandas as pd
import streamlit as st

from dashboard import claims, queries
from dashboard.charts import sparkline
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.live import live
from dashboard.training import COMMAND, job_card, resumable, resume_card, train_button
from dashboard.welcome import welcome
from dashboard.wording import ago, count, duration, interval, p_value, significant
from data.rows import RunRow, StudyRow
from engine.jobs.request import measured_seconds, request
from engine.studies import studies

TITLE = "Studies"
ICON = ":material/science:"
QUESTION = "What is here, and what does each study show?"
ORDER = 10

STATUS = {
    "done": "green",
    "diverged": "orange",
    "running": "blue",
    "queued": "gray",
    "stopped": "gray",
    "failed": "red",
}


def render(lab: Lab) -> None:
    """Show a card for each study; while a job works, the page follows it."""
    if not lab.store.catalog.studies():
        welcome(lab)
        return
    live(lab, None, lambda: _cards(lab))


def _cards(lab: Lab) -> None:
    for job in queries.active_jobs(lab.store):
        job_card(lab, job)
    for job in resumable(lab.store):
        resume_card(lab, job)
    for study in sorted(lab.store.catalog.studies(), key=lambda row: row.created_at, reverse=True):
        _card(lab, study)
    if not queries.active_jobs(lab.store) and all(
        row.source != "engine" for row in lab.store.catalog.studies()
    ):
        train_button(lab.access, "studies.train", lab)
        st.code(COMMAND, language="bash")


def _card(lab: Lab, study: StudyRow) -> None:
    runs = lab.store.catalog.runs(study.name, archived=True)
    arms = queries.arm_names(study, runs)
    with st.container(border=True, key=f"study.{study.name}"):
        words, picture = st.columns([1.25, 1], gap="large")
        with words:
            st.subheader(study.title, anchor=False)
            st.markdown(_badges(runs))
            st.markdown(study.claim)
            seeds = len({run.seed for run in runs}) or int(study.config.get("seeds", 0))
            steps = max((run.steps for run in runs), default=0)
            parts = [f"{count(len(arms), 'arm')} × {count(seeds, 'seed')}"]
            parts += [count(steps, "step")] if steps else []
            st.caption(" · ".join([*parts, f"`{study.name}`", f"begun {ago(study.created_at)}"]))
            if told := _origin(lab, study):
                st.caption(told)
            _links(study)
        version = lab.store.traces.version(study.name)
        with picture:
            _picture(lab, study, arms, version)
        _verdict(lab, study, version)


def _origin(lab: Lab, study: StudyRow) -> str:
    """Say whose claim it is and what a training takes; nothing where neither is known."""
    base, _, changed = study.name.partition("@")
    source = str(study.config.get("source", ""))
    if study.source != "engine" or base not in studies():
        return source
    measured = None if changed else measured_seconds(request(base), lab.store.catalog.jobs())
    if measured is not None:
        return f"{source} · trained in {duration(measured[0])} here".removeprefix(" · ")
    expected = study.config.get("expected_seconds")
    if not expected:
        return source
    return f"{source} · about {duration(expected)} on 2 cores".removeprefix(" · ")


def _links(study: StudyRow) -> None:
    with st.container(horizontal=True, gap="medium"):
        link("traces", "Traces", ":material/show_chart:", study=study.name)
        link("runs", "Runs", ":material/table_rows:", study=study.name)
        link("latent_states", "Latent states", ":material/timeline:", study=study.name)
        if study.config.get("comparisons"):
            link("shuffling", "Shuffling", ":material/shuffle:", study=study.name)


def _badges(runs: list[RunRow]) -> str:
    if not runs:
        return ":gray-badge[no runs]"
    counted = Counter[str](run.status for run in runs)
    return " ".join(
        f":{colour}-badge[{counted[name]} {name}]" for name, colour in STATUS.items() if counted[name]
    )


def _picture(lab: Lab, study: StudyRow, arms: list[str], version: str) -> None:
    known = queries.metrics(lab.store, study.name)
    if not known:
        st.caption("Nothing has been measured yet.")
        return
    metric = known.get(claims.FULL) or next(iter(known.values()))
    frame = queries.bands(lab.store, version, study.name, metric.name, "step", None, None, None)
    if frame.empty:
        st.caption("Nothing has been measured yet.")
        return
    lows = ", ".join(
        f"{arm} {group['median'].iloc[-1]:.3g}" for arm, group in frame.groupby("arm", sort=False)
    )
    st.altair_chart(
        sparkline.chart(frame, arms, metric.log),
        width="stretch",
        key=f"studies.picture.{study.name}",
        alt=f"{metric.label} of {study.title} over training, median over seeds; at the end: {lows}.",
    )
    st.caption(f"{metric.label} over training: median of each arm's seeds, with the middle half shaded.")


def _verdict(lab: Lab, study: StudyRow, version: str) -> None:
    found = queries.verdict(lab.store, version, study)
    if found is None:
        return
    training = any(job.kind == "train" for job in queries.active_jobs(lab.store, study.name))
    st.markdown(
        f"{claims.badge(found, training)} {found.sentence}",
        help="Of the runs that came to their end. Where arms are compared they are paired by seed; p is "
        "exact from all sign patterns up to 20 pairs, the interval a BCa bootstrap over seeds.",
    )
    rows = [
        {
            "Comparison": part.what,
            "Effect": "–" if part.effect is None else significant(part.effect),
            "95 % interval": interval(part.low, part.high) or "–",
            "p": "–" if part.p is None else p_value(part.p).removeprefix("p = "),
            "Seeds": f"{part.n}",
            "Part of the claim": part.kind,
        }
        for part in found.details
    ]
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
