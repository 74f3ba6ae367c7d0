"""The states that make runs converge later, the decoys that only look it, and the paths that runs take."""

import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, interventions, paths_explorer, queries, slow_states
from dashboard.charts import best_values, dwell_intervals, occupancy
from dashboard.charts.palette import state_name
from dashboard.controls import choose, metric_picker
from dashboard.convergence import Rule, Run, follow, provenance, rule_picker
from dashboard.fits import Fit, labelled, load
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.live import live
from dashboard.parts import part
from dashboard.prepared import prepare
from dashboard.training import at_work, job_card, last_failure
from dashboard.wording import ago, count, escaped, significant
from data.rows import AnalysisRow
from engine.analysis.detours import dwells
from engine.analysis.detours.visits import stays

TITLE = "Detours"
ICON = ":material/fork_right:"
QUESTION = "Which phases slow training down?"
ORDER = 50

ALL_ARMS = "all arms together"


def render(lab: Lab) -> None:
    """Choose a fit and what counts as converged; then show what delays it."""
    choice = choose(lab.store, arms=False, seeds=False)
    study = choice.study
    known = queries.metrics(lab.store, study.name)
    metric = metric_picker(known, ("full_batch_risk", "test_loss", "own_batch_risk", "batch_loss"))
    rows = lab.store.catalog.analyses(study.name, "latent")
    if at_work(lab, study.name, "fit"):
        live(lab, study.name, lambda: _jobs(lab, study.name))
    last_failure(lab, study.name, "fit")
    if not rows:
        _teach(study.name)
        return
    fit = load(lab.store, _pick(rows))
    arm = _arm([arm for arm in choice.arms if arm in fit.arms])
    version = lab.store.traces.version(study.name)
    rule = rule_picker(lab, study, known, version)
    everyone = follow(lab, fit, rule, version)
    runs = everyone if arm == ALL_ARMS else [run for run in everyone if run.arm == arm]
    _facts(fit, arm, runs, version)
    if len(runs) < 2:
        st.info(
            "Fewer than two runs of this analysis are still in the study: nothing can be compared. Fit the "
            "study again under Latent states.",
            icon=":material/data_alert:",
        )
        return
    if all(run.converged_at is None for run in runs):
        _none_converges(fit, rule, runs, version)
    else:
        slow_states.show(fit, rule, runs, version)
    part(lambda: paths_explorer.explore(lab, fit, rule, runs, metric, version))
    left, right = st.columns(2, gap="large")
    with left:
        _occupancy(fit, runs)
    with right:
        _dwell(fit, rule, runs)
    part(lambda: interventions.compare(fit, rule, everyone, choice.arms))


def _jobs(lab: Lab, study: str) -> None:
    for job in queries.active_jobs(lab.store, study):
        job_card(lab, job)


def _teach(study: str) -> None:
    with st.container(border=True, key="detours.empty"):
        st.subheader("No latent states have been fitted yet", anchor=False)
        st.markdown(
            "A **detour** is a latent state that some runs pass through and others avoid, and that makes "
            "those that pass through it converge later. So the states come first: fit them under Latent "
            "states, or on the command line. Twenty seeds or more are needed to tell a detour from chance."
        )
        st.code(shlex.join(["python", "-m", "engine", "fit", study]), language="bash")
        link("latent_states", "Fit latent states", ":material/timeline:", study=study)


def _pick(rows: Sequence[AnalysisRow]) -> AnalysisRow:
    named = labelled(rows)
    with st.sidebar:
        return named[st.selectbox("Analysis", list(named), key="latent.analysis", bind="query-params")]


def _arm(arms: list[str]) -> str:
    if len(arms) == 1:
        return arms[0]
    with st.sidebar:
        return st.selectbox(
            "Arm",
            [*arms, ALL_ARMS],
            key="detours.arm",
            bind="query-params",
            help="Whose runs are looked at. Over all arms together, a state that only a slow arm visits "
            "looks like a detour although the arm is to blame: compare arms at the foot of the page.",
        )


def _facts(fit: Fit, arm: str, runs: Sequence[Run], version: str) -> None:
    summary = fit.summary
    fitted = sum(arm in (ALL_ARMS, run["arm"]) for run in summary["runs"])
    gone = f" · {count(fitted - len(runs), 'run')} left out" if fitted > len(runs) else ""
    st.caption(
        f"{fit.n_states} states, {summary['covariance']} covariance, {summary['normalize']} · "
        f"{count(len(runs), 'run')} of {escaped(arm)}{gone} · fitted {ago(fit.row.created_at)}"
    )
    if fit.row.data_version != version:
        st.info(
            "The study has changed since this fit: its states are of the data as they were.",
            icon=":material/history:",
        )


def _none_converges(fit: Fit, rule: Rule, runs: Sequence[Run], version: str) -> None:
    """Say how far the runs came instead, and which threshold half of them would reach."""
    frame = pd.DataFrame({"arm": [r.arm for r in runs], "seed": [r.seed for r in runs]})
    frame = frame.assign(best=[run.best for run in runs])
    reached = frame[np.isfinite(frame["best"])]
    side = "lower" if rule.direction == "above" else "raise"
    with st.container(border=True, key="detours.verdict", gap="xsmall"):
        st.markdown(
            f":gray-badge[No verdict] None of {count(len(runs), 'run')} reaches {escaped(rule.words)}."
        )
        if reached.empty:
            st.caption("This metric has no finite value in them; choose another one.")
            return
        half = significant(float(reached["best"].median()))
        st.caption(
            f"Delays are differences of convergence times, so that there are none yet: {side} the threshold. "
            f"Half of the runs reach {half}. Paths, occupancy and dwell times are below, over whole runs."
        )
    figure.show(
        prepare(
            best_values.chart(reached, fit.arms, rule.threshold, f"Best {rule.metric.label.lower()} kept")
        ),
        "detours.best",
        f"Best {rule.metric.label.lower()} that each of {len(reached)} runs keeps for "
        f"{count(rule.patience, 'point')}; the threshold is {significant(rule.threshold)}.",
        reached,
        provenance(fit, f"strictest threshold that a run stays beyond for {rule.patience} points", "", rule),
    )


def _occupancy(fit: Fit, runs: Sequence[Run]) -> None:
    st.subheader("Which state runs are in", anchor=False, help="Share of runs in each state at each step.")
    frame = occupancy.shares([run.steps for run in runs], [run.path for run in runs], fit.n_states)
    least, most = int(frame["n"].min()), int(frame["n"].max())
    n = f"n = {most} runs at every step" if least == most else f"n falls from {most} to {least} runs"
    figure.show(
        prepare(occupancy.chart(frame, fit.n_states)),
        "detours.occupancy",
        f"Share of {len(runs)} runs in each of {fit.n_states} states over training.",
        frame.drop(columns=["order"]),
        provenance(
            fit, "runs whose most probable path is in the state, over runs measured then", "Rabiner 1989"
        ),
        f"{n}.",
    )


def _dwell(fit: Fit, rule: Rule, runs: Sequence[Run]) -> None:
    st.subheader(
        "How long a state lasts before convergence",
        anchor=False,
        help="Posterior mean and 95 % credible interval of the dwell time: geometric, as the hidden Markov "
        "model sees it, with a uniform prior on the probability to leave. Of stays begun before convergence, "
        "each followed to its own end; one cut off by the end of the run counts with its length.",
    )
    spacing = [float(np.median(np.diff(run.steps))) for run in runs if len(run.steps) > 1]
    step = float(np.median(spacing)) if spacing else 1.0
    found = dwells([run.followed for run in runs if len(run.before)], fit.n_states)
    entered = [stay.state for run in runs for stay in stays(run.before)]
    frame = pd.DataFrame(
        {
            "state": [state_name(state) for state in range(fit.n_states)],
            "stays": [entered.count(state) for state in range(fit.n_states)],
            "left": [each.left for each in found],
            **{name: [getattr(each, name) * step for each in found] for name in ("mean", "low", "high")},
        }
    )
    if not frame["stays"].any():
        st.info("No run was in any state before it converged.", icon=":material/hourglass_empty:")
        return
    seen = frame[frame["stays"] > 0]
    figure.show(
        prepare(dwell_intervals.chart(frame, fit.n_states)),
        "detours.dwell",
        "Mean dwell time in steps: "
        + "; ".join(
            f"{name} {significant(mean)}" for name, mean in seen[["state", "mean"]].itertuples(index=False)
        )
        + ".",
        seen,
        provenance(
            fit,
            "(ends + rows followed + 1) / ends, in steps of the measured points",
            "Gelman et al. 2013",
            rule,
        ),
        f"{count(int(seen['stays'].sum()), 'stay')} of {count(len(runs), 'run')}, "
        f"{int(seen['left'].sum())} with an end.",
    )
