"""The phases that training goes through, from hidden Markov models fitted to its metrics."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.charts import choice_of_k, dwell, fingerprints, ribbons, transitions
from dashboard.charts.palette import state_name
from dashboard.controls import Choice, choose, metric_picker
from dashboard.fits import NORMALIZE_WORDS, Fit, fit_form, fitting, label, last_failure, load
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.training import job_card
from dashboard.trust import trust_panel
from dashboard.wording import ago, count, significant
from data.rows import MetricRow

TITLE = "Latent states"
ICON = ":material/timeline:"
QUESTION = "Which phases does training go through?"
ORDER = 40

LINE_POINTS = 4000


def render(lab: Lab) -> None:
    """Choose an analysis, or start one; then show its states and how far to believe them."""
    choice = choose(lab.store)
    known = queries.metrics(lab.store, choice.study.name)
    metric = metric_picker(known, ("full_batch_risk", "own_batch_risk"))
    rows = lab.store.catalog.analyses(choice.study.name, "latent")
    if fitting(lab, choice.study.name):
        live(lab, choice.study.name, lambda: _jobs(lab, choice.study.name))
    last_failure(lab, choice.study.name)
    if not rows:
        with st.container(border=True):
            st.subheader("No latent states have been fitted yet", anchor=False)
            st.markdown(
                "A hidden Markov model reads the metrics of all runs as a walk through a few "
                "states that cannot be "
                "seen directly. Choose what it reads; the fit runs as a job and its result is kept."
            )
            fit_form(lab, choice.study.name, list(choice.arms), known)
        return
    labels = [label(row) for row in rows]
    named = st.selectbox("Analysis", labels, key="latent.analysis", bind="query-params")
    with st.expander("Fit other states", key="latent.new", type="compact"):
        fit_form(lab, choice.study.name, list(choice.arms), known)
    fit = load(lab.store, rows[labels.index(named)])
    _facts(lab, choice, fit)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _choice_of_k(fit)
    with right:
        trust_panel(fit, known)
    _ribbons(lab, choice, fit, metric)
    left, right = st.columns([4, 5], gap="large")
    with left:
        _transitions(fit)
    with right:
        _fingerprints(fit, known)
    _dwell(choice, fit)


def _jobs(lab: Lab, study: str) -> None:
    for job in queries.active_jobs(lab.store, study):
        job_card(lab, job)


def _how(fit: Fit, formula: str, source: str = "") -> figure.Provenance:
    query = f"analysis {fit.row.id} of {fit.row.study}, key {fit.row.key}"
    return figure.Provenance(query, formula, fit.row.code_version, fit.row.data_version, source)


def _facts(lab: Lab, choice: Choice, fit: Fit) -> None:
    summary = fit.summary
    folds = summary.get("trust", {}).get("folds")
    held = sum(bool(run.get("held_out")) for run in summary["runs"])
    split = f"cross-validated in {folds} folds" if folds else f"{held} held out"
    st.caption(
        f"Gaussian HMM with {summary['covariance']} covariance · "
        f"{count(len(summary['metrics']), 'metric')} as "
        f"{NORMALIZE_WORDS.get(summary['normalize'], summary['normalize'])} · "
        f"{count(len(summary['runs']), 'run')}, "
        f"{split} · fitted {ago(fit.row.created_at)}"
    )
    if fit.row.data_version != lab.store.traces.version(choice.study.name):
        st.info(
            "The study has changed since this fit: its states are of the data as they were.",
            icon=":material/history:",
        )


def _choice_of_k(fit: Fit) -> None:
    st.subheader(
        "How many states", anchor=False, help="Held-out likelihood is of runs the model has not seen."
    )
    frame = fit.table[["n_states", "heldout_loglik", "heldout_se", "train_loglik", "bic", "parameters"]]
    best = frame.loc[frame["n_states"] == fit.n_states].iloc[0]
    figure.show(
        choice_of_k.chart(frame, fit.n_states, fit.restarts),
        "latent.choice",
        f"Held-out log-likelihood for 1 to {int(frame['n_states'].max())} states; {fit.n_states} "
        f"were chosen, at "
        f"{significant(best['heldout_loglik'])} nats per observation.",
        frame,
        _how(
            fit,
            "mean over held-out runs of log p(run) / observations, with its standard error over "
            "runs; below, how far "
            "each restart's training likelihood stays behind the best",
            "Hu et al. 2023; one-standard-error rule, Hastie et al. 2009",
        ),
        _begun(str(fit.summary["rule"])),
    )


def _begun(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _ribbons(lab: Lab, choice: Choice, fit: Fit, metric: MetricRow) -> None:
    st.subheader(
        "States of each seed under its loss",
        anchor=False,
        help="Most probable path (Viterbi); a colour is paler where the posterior probability of "
        "its state is lower.",
    )
    arms = [arm for arm in choice.shown_arms if arm in fit.arms]
    if not arms:
        st.info("The chosen arms are not in this analysis.", icon=":material/filter_alt_off:")
        return
    version = lab.store.traces.version(choice.study.name)
    columns = st.columns(2, gap="large") if len(arms) > 1 else [st.container()]
    for index, arm in enumerate(arms):
        with columns[index % len(columns)]:
            _ribbon(lab, choice, fit, metric, arm, version)


def _ribbon(lab: Lab, choice: Choice, fit: Fit, metric: MetricRow, arm: str, version: str) -> None:
    frame = fit.stretches(arm, choice.seeds)
    if frame.empty:
        st.caption(f"{arm}: none of the chosen seeds is in this analysis.")
        return
    points = max(LINE_POINTS // max(frame["row"].nunique(), 1), 16)
    lines = queries.thin(
        lab.store,
        version,
        choice.study.name,
        metric.name,
        "step",
        (arm,),
        choice.seeds,
        None,
        None,
        points,
        1,
    ).frame
    loss = pd.DataFrame({"row": lines["seed"].astype(str), "x": lines["x"], "value": lines["value"]})
    rows = sorted(frame["row"].unique(), key=int)
    st.markdown(f"**{arm}**")
    figure.show(
        ribbons.chart(frame, loss, rows, fit.n_states, metric.label, metric.log),
        f"latent.ribbons.{arm}",
        f"Latent states of {count(len(rows), 'seed')} of {arm} along training, under {metric.label.lower()}.",
        frame.drop(columns=["row"]),
        _how(fit, "Viterbi path; shade: posterior probability of the state on the path", "Rabiner 1989"),
    )


def _transitions(fit: Fit) -> None:
    st.subheader(
        "Moves between states",
        anchor=False,
        help="Where a run goes when it leaves a state: A_ij / (1 − A_ii). Moves below 2 % are left out.",
    )
    transmat = fit.arrays["transmat"]
    path = fit.arrays["path"].astype(int)
    occupancy = np.bincount(path, minlength=fit.n_states) / max(len(path), 1)
    moves = transitions.edges(transmat)
    named = moves.assign(source=moves["source"].map(state_name), target=moves["target"].map(state_name))
    figure.show(
        transitions.chart(transmat, occupancy),
        "latent.transitions",
        "Transition graph: "
        + "; ".join(f"{a} to {b} {p:.2f}" for a, b, p in named.itertuples(index=False))
        + ".",
        named,
        _how(
            fit, "A_ij / (1 − A_ii), the probability that a departure from state i goes to j", "Rabiner 1989"
        ),
        "States in the order of their mean first visit; later states to the right, returns below the line. "
        "A larger disc holds more of all measured points.",
    )


def _fingerprints(fit: Fit, known: dict[str, MetricRow]) -> None:
    st.subheader(
        "What each state is like",
        anchor=False,
        help="Mean of each metric in the state, in standard deviations from the mean of the normalization.",
    )
    names = [known[name].label if name in known else name for name in fit.summary["metrics"]]
    frame = fingerprints.tidy(fit.arrays["means"], names)
    figure.show(
        fingerprints.chart(frame, names),
        "latent.fingerprints",
        f"Mean z-score of {count(len(names), 'metric')} in each of {count(fit.n_states, 'state')}.",
        frame,
        _how(
            fit,
            f"emission mean of each state, in {NORMALIZE_WORDS.get(fit.summary['normalize'], 'z-scores')}",
        ),
    )


def _dwell(choice: Choice, fit: Fit) -> None:
    arms = tuple(arm for arm in choice.shown_arms if arm in fit.arms)
    frame = fit.visits(arms)
    if frame.empty:
        return
    st.subheader(
        "How long runs stay",
        anchor=False,
        help="One mark a visit; the bar is the median over visits, ended or not.",
    )
    ended = int(frame["censored"].sum())
    figure.show(
        dwell.chart(frame, fit.n_states),
        "latent.dwell",
        f"Steps spent in each state, {count(len(frame), 'visit')} of {', '.join(arms)}.",
        frame,
        _how(fit, "steps from the first row of a visit to the first row after it"),
        f"{count(ended, 'visit')} cut short by the end of the run are marked with a triangle: "
        f"those lasted at least as "
        "long as shown.",
    )
