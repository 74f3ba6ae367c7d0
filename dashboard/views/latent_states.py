"""The phases that training goes through, from hidden Markov models fitted to its metrics."""

import numpy as np
import streamlit as st

from dashboard import figure, queries
from dashboard.charts import choice_of_k, dwell, fingerprints
from dashboard.controls import Choice, choose, metric_picker
from dashboard.fit_files import download, upload
from dashboard.fit_form import FORM, fit_form
from dashboard.fits import (
    NORMALIZE_WORDS,
    Fit,
    analysis_picker,
    called,
    load,
    provenance,
)
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.moves import moves_section
from dashboard.notes import state_notes
from dashboard.state_ribbons import state_ribbons
from dashboard.training import at_work, job_card, last_failure
from dashboard.trust import trust_panel
from dashboard.wording import ago, count, interval, sentence, significant
from data.rows import MetricRow

TITLE = "Latent states"
ICON = ":material/timeline:"
QUESTION = "Which phases does training go through?"
ORDER = 40

ALL = "All"
MOST_BESIDE = 5
"""States whose fingerprints are readable on half of the page."""


def render(lab: Lab) -> None:
    """Choose an analysis, or start one; then show its states and how far to believe them."""
    choice = choose(lab.store)
    known = queries.metrics(lab.store, choice.study.name)
    metric = metric_picker(known, ("full_batch_risk", "own_batch_risk"))
    rows = lab.store.catalog.analyses(choice.study.name, "latent")
    if at_work(lab, choice.study.name, "fit"):
        live(lab, choice.study.name, lambda: _jobs(lab, choice.study.name))
    last_failure(lab, choice.study.name, "fit")
    if not rows:
        with st.container(border=True):
            st.subheader("No latent states have been fitted yet", anchor=False)
            st.markdown(
                "A hidden Markov model reads the metrics of all runs as a walk through a few "
                "states that cannot be "
                "seen directly. Choose what it reads; the fit runs as a job and its result is kept."
            )
            fit_form(lab, choice.study.name, list(choice.arms), known)
        upload(lab, choice.study.name)
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        fit = load(lab.store, analysis_picker(rows, "latent.analysis"))
        download(fit)
        upload(lab, choice.study.name)
    form = st.expander("Fit other states", key=FORM, type="compact", on_change="rerun")
    if form.open:
        with form:
            fit_form(lab, choice.study.name, list(choice.arms), known)
    _facts(lab, choice, fit)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _choice_of_k(fit)
    with right:
        trust_panel(lab, fit, known)
    st.fragment(state_ribbons)(lab, choice, fit, metric, known)
    st.fragment(moves_section)(choice, fit, known)
    wide = fit.n_states > MOST_BESIDE
    left, right = (st.container(), st.container()) if wide else st.columns([5, 4], gap="large")
    with left:
        _fingerprints(fit, known)
        state_notes(lab, fit)
    with right:
        _dwell(choice, fit)


def _jobs(lab: Lab, study: str) -> None:
    for job in queries.active_jobs(lab.store, study):
        job_card(lab, job)


def _facts(lab: Lab, choice: Choice, fit: Fit) -> None:
    summary = fit.summary
    origin = f"read from {summary['origin']}" if "origin" in summary else "fitted"
    thinned = f" · every {summary['every']} rows" if summary.get("every", 1) > 1 else ""
    st.caption(
        f"Gaussian HMM with {summary['covariance']} covariance, {summary.get('topology', 'ergodic')} · "
        f"{count(len(summary['metrics']), 'metric')} as "
        f"{NORMALIZE_WORDS.get(summary['normalize'], summary['normalize'])} · "
        f"{count(len(summary['runs']), 'run')}{thinned} · {origin} {ago(fit.row.created_at)}"
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
    if not len(fit.table):
        st.caption("This fit came with a single number of states, without a search to choose it by.")
        return
    frame = fit.table[["n_states", "heldout_loglik", "heldout_se", "train_loglik", "bic", "parameters"]]
    best = frame.loc[frame["n_states"] == fit.n_states].iloc[0]
    lowest = int(frame["n_states"].to_numpy()[frame["bic"].to_numpy(float).argmin()])
    figure.show(
        choice_of_k.chart(frame, fit.n_states, fit.restarts),
        "latent.choice",
        f"Held-out log-likelihood for 1 to {int(frame['n_states'].max())} states; {fit.n_states} "
        f"were chosen, at {significant(best['heldout_loglik'])} nats per observation. "
        f"BIC is least at {lowest}.",
        frame,
        provenance(
            fit,
            "top: mean over seeds of log p(run) / observations of runs held out, with its standard error "
            "over "
            "seeds; middle: −2 ln L + parameters ln(observations) of the fit to all runs, above the "
            "least; bottom: "
            "how far each restart's training likelihood stays behind the best",
            "Hu et al. 2023; one-standard-error rule, Hastie et al. 2009; Schwarz 1978",
        ),
        sentence([_begun(str(fit.summary["rule"])), f"BIC, beside it, is least at {count(lowest, 'state')}"]),
    )


def _begun(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _fingerprints(fit: Fit, known: dict[str, MetricRow]) -> None:
    st.subheader(
        "What each state is like",
        anchor=False,
        help="Mean of each metric in the state, in standard deviations from the mean of the normalization.",
    )
    metrics = list(fit.summary["metrics"])
    covars = fit.arrays["covars"]
    variances = covars if covars.ndim == 2 else np.diagonal(covars, axis1=1, axis2=2)
    frame = fingerprints.tidy(
        fit.arrays["means"], variances, metrics, [called(known, name) for name in metrics]
    )
    layers = list(dict.fromkeys(frame["layer"]))
    if len(layers) > 1:
        layer = st.selectbox(
            "Layer", [ALL, *layers], width=260, key="latent.layer", bind="query-params",
            help="Metrics of the whole network, or those of a single layer that the fit reads.",
        )  # fmt: skip
        frame = frame if layer == ALL else frame[frame["layer"] == layer]
    names = list(dict.fromkeys(frame["metric"]))
    figure.show(
        fingerprints.chart(frame, names),
        "latent.fingerprints",
        f"Mean z-score of {count(len(names), 'metric')} in each of {count(fit.n_states, 'state')}.",
        frame,
        provenance(
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
        help="One mark a visit; the bar is the posterior mean of the dwell time with its 95 % credible "
        "interval.",
    )
    ended = int(frame["censored"].sum())
    means = fit.dwells(arms)
    told = "; ".join(
        f"{row['state']} {significant(row['mean'])} {interval(row['low'], row['high'])}".rstrip()
        for row in means.to_dict("records")
    )
    figure.show(
        dwell.chart(frame, means, fit.n_states),
        "latent.dwell",
        f"Steps spent in each state, {count(len(frame), 'visit')} of {', '.join(arms)}; posterior means: "
        f"{told}.",
        frame,
        provenance(
            fit,
            "marks: steps from the first row of a visit to the first row after it; bars: a row is left with "
            "probability q ~ Beta(1 + ends, 1 + rows that stayed), and the dwell time is 1/q rows, here "
            "in steps",
            "Gelman et al. 2013, section 2.4",
        ),
        f"{count(ended, 'visit')} cut short by the end of the run are marked with a triangle: those "
        "lasted at least as long as shown, and count in the posterior with their rows and without an end. "
        "≥ marks the lower end for a state that no run was seen to leave.",
        narrow=True,
    )
