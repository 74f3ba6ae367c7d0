"""The studies of this lab, one card each, and those that could be trained."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import claims, queries, trainable
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.live import live
from dashboard.notes import STUDY, study_notes
from dashboard.pictures import picture
from dashboard.study_menu import put_away, study_menu, undo_study
from dashboard.training import COMMAND, job_card, resumable, resume_card, train_button
from dashboard.welcome import welcome
from dashboard.wording import ago, coded, count, escaped, failure, interval, p_value, significant
from data.errors import LabError
from data.rows import JobRow, NoteRow, RunState, SavedViewRow, StudyRow

TITLE = "Studies"
ICON = ":material/science:"
QUESTION = "What is here, and what does each study show?"
ORDER = 10

MOST_VIEWS = 12
"""Saved views on a card; the view Reports has them all."""
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
    undo_study(lab)
    if lab.store.catalog.studies():
        live(lab, None, lambda: _cards(lab))
    else:
        welcome(lab)
        trainable.show([], [])
    put_away(lab)


def _cards(lab: Lab) -> None:
    jobs, studies = lab.store.catalog.jobs(), lab.store.catalog.studies()
    states = defaultdict[str, list[RunState]](list)
    for state in lab.store.catalog.run_states():
        states[state.study].append(state)
    shared = _Shared(defaultdict(list), defaultdict(list))
    for view in lab.store.catalog.saved_views():
        shared.views[view.study].append(view)
    for note in lab.store.catalog.notes(about=STUDY):
        shared.notes[note.study].append(note)
    active = queries.active_jobs(lab.store)
    for job in active:
        job_card(lab, job)
    for job in resumable(lab.store):
        resume_card(lab, job)
    newest = sorted(studies, key=lambda row: row.created_at, reverse=True)
    for study in sorted(newest, key=lambda row: row.pinned_at is None):
        _card(lab, study, states[study.name], jobs, shared)
    if not active and all(row.source != "engine" for row in studies):
        train_button(lab.access, "studies.train", lab)
        st.code(COMMAND, language="bash")
    trainable.show([study.name for study in studies], jobs)


class _Shared(NamedTuple):
    """What people made of the studies, by study."""

    views: dict[str, list[SavedViewRow]]
    notes: dict[str, list[NoteRow]]


def _card(lab: Lab, study: StudyRow, runs: list[RunState], jobs: Sequence[JobRow], shared: _Shared) -> None:
    arms = queries.arm_names(study, runs)
    changed = study.name.partition("@")[2].replace(",", ", ") if study.source == "engine" else ""
    with st.container(border=True, key=f"study.{study.name}"):
        words, drawing = st.columns([1.25, 1], gap="large")
        with words:
            title = study.title if study.source == "engine" else escaped(study.title)
            st.subheader(f"{title} with `{changed}`" if changed else title, anchor=False)
            pinned = " :gray-badge[:material/keep: pinned]" if study.pinned_at else ""
            st.markdown(f"{_badges(runs)}{pinned}")
            if study.source == "engine":
                st.markdown(study.claim)
            seeds = len({run.seed for run in runs}) or int(study.config.get("seeds", 0))
            steps = max((run.steps for run in runs), default=0)
            parts = [f"{count(len(arms), 'arm')} × {count(seeds, 'seed')}"]
            parts += [count(steps, "step")] if steps else []
            st.caption(" · ".join([*parts, coded(study.name), f"begun {ago(study.created_at)}"]))
            if told := _origin(study, jobs):
                st.caption(told)
            _links(study, len(arms) > 1)
            _around(lab, study, runs, jobs, shared)
        version = lab.store.traces.version(study.name)
        with drawing:
            _picture(lab, study, arms, version)
        training = any(
            job.kind == "train" and job.status in queries.ACTIVE for job in jobs if job.study == study.name
        )
        _verdict(lab, study, version, runs, training)


def _origin(study: StudyRow, jobs: Sequence[JobRow]) -> str:
    """Say whose claim it is and what a training takes; nothing where neither is known."""
    source = str(study.config.get("source", ""))
    base, _, changed = study.name.partition("@")
    if study.source != "engine" or base not in trainable.names():
        return source
    took = trainable.seconds_told(base, [] if changed else jobs, study.config.get("expected_seconds"))
    return " · ".join(part for part in (source, took) if part)


def _links(study: StudyRow, several: bool) -> None:
    with st.container(horizontal=True, gap="medium"):
        link("traces", "Traces", ":material/show_chart:", study=study.name)
        link("runs", "Runs", ":material/table_rows:", study=study.name)
        link("latent_states", "Latent states", ":material/timeline:", study=study.name)
        link("detours", "Detours", ":material/fork_right:", study=study.name)
        if study.config.get("comparisons") or (study.source != "engine" and several):
            link("shuffling", "Shuffling", ":material/shuffle:", study=study.name)


def _around(
    lab: Lab, study: StudyRow, runs: Sequence[RunState], jobs: Sequence[JobRow], shared: _Shared
) -> None:
    """Show what people saved of the study and wrote about it, and what can be done to it."""
    by = {job.id: job for job in jobs}
    owners = {by[run.job].person for run in runs if run.job in by}
    busy = any(job.study == study.name and job.status in queries.ACTIVE for job in jobs)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if views := shared.views[study.name]:
            with st.popover(
                f"Saved views ({len(views)})", icon=":material/bookmarks:", type="tertiary",
                key=f"studies.{study.name}.views",
            ):  # fmt: skip
                for view in views[:MOST_VIEWS]:
                    link(view.view, escaped(view.title), ":material/bookmark:", saved=view.code)
                if len(views) > MOST_VIEWS:
                    link("reports", "All of them", ":material/bookmarks:")
        study_notes(lab, study.name, shared.notes[study.name])
        study_menu(lab, study, owners, len(runs), busy)


def _badges(runs: Sequence[RunState]) -> str:
    if not runs:
        return ":gray-badge[no runs]"
    counted = Counter[str](run.status for run in runs)
    return " ".join(
        f":{colour}-badge[{counted[name]} {name}]" for name, colour in STATUS.items() if counted[name]
    )


def _picture(lab: Lab, study: StudyRow, arms: list[str], version: str) -> None:
    known = queries.metrics(lab.store, study.name)
    metric = known.get(claims.FULL) or next(iter(known.values()), None)
    drawn = metric and picture(lab.store, version, study.name, metric.name, metric.log, tuple(arms))
    if not metric or not drawn:
        st.caption("Nothing has been measured yet.")
        return
    st.vega_lite_chart(
        spec=drawn.chart.drawn,
        width="stretch",
        key=f"studies.picture.{study.name}",
        alt=f"{metric.label} of {study.title} over training, median over seeds; at the end: {drawn.ends}.",
    )
    st.caption(
        f"{escaped(metric.label)} over training: median of each arm's seeds, with the middle half shaded."
    )


def _verdict(lab: Lab, study: StudyRow, version: str, runs: Sequence[RunState], training: bool) -> None:
    try:
        found = queries.verdict(lab.store, version, study, runs)
    except LabError as error:  # of this study alone: the other cards stand
        st.warning(failure(error), icon=":material/help:")
        return
    if found is None:
        return
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
