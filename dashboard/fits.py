"""Stored fits of latent states, as the views need them, and the form that starts a new one."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.charts import dwell, ribbons
from dashboard.lab import Lab
from dashboard.wording import ago
from data import analyses
from data.rows import AnalysisRow, MetricRow
from data.store import Store
from engine.jobs import queue
from engine.jobs.fit_request import WEIGHT_METRICS, fit_request

_BY_ROOT: dict[str | type, Any] = {Store: lambda store: str(store.root)}
NORMALIZE_WORDS = {
    "per-run": "each run's z-scores over its own length",
    "pooled": "z-scores pooled over the training runs",
    "log-pooled": "logarithms, then pooled z-scores",
}


@dataclass(frozen=True)
class Fit:
    """One stored fit: its summary and arrays."""

    row: AnalysisRow
    arrays: dict[str, np.ndarray]

    @property
    def summary(self) -> dict[str, Any]:
        """What the fit recorded about itself."""
        return self.row.summary

    @property
    def n_states(self) -> int:
        """The number of states that was chosen."""
        return int(self.summary["n_states"])

    @property
    def arms(self) -> list[str]:
        """The arms whose runs were fitted."""
        return list(self.summary["arms"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each number of states tried."""
        return pd.DataFrame(self.summary["table"])

    @cached_property
    def restarts(self) -> pd.DataFrame:
        """One row for each restart: n_states, shortfall from the best, in nats per observation."""
        rows = []
        for tried in self.summary["table"]:
            reached = [value for value in tried["restart_logliks"] if value is not None]
            rows += [{"n_states": tried["n_states"], "shortfall": max(reached) - value} for value in reached]
        return pd.DataFrame(rows, columns=["n_states", "shortfall"])

    def stretches(self, arm: str, seeds: tuple[int, ...] | None, most: int = 2500) -> pd.DataFrame:
        """Return the ribbons of an arm; certainty is averaged where it would split them too finely."""
        for certainty in (True, False):
            parts = [
                ribbons.stretches(steps, path, confidence, arm, seed, certainty)
                for run_arm, seed, steps, path, confidence in self.paths()
                if run_arm == arm and (seeds is None or seed in seeds)
            ]
            frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"seed": [], "start": []})
            if len(frame) <= most:
                break
        return frame.assign(row=frame["seed"].map(lambda seed: f"{int(seed)}"))

    def visits(self, arms: tuple[str, ...]) -> pd.DataFrame:
        """Return every visit of every run of these arms: state, steps, censored, arm, seed."""
        parts = [
            dwell.visits(steps, path).assign(arm=arm, seed=seed)
            for arm, seed, steps, path, _ in self.paths()
            if arm in arms
        ]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"state": [], "steps": []})

    def paths(self) -> list[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
        """Return arm, seed, steps, states and their posterior probability, run by run."""
        offsets, path, posterior = (
            self.arrays["offsets"],
            self.arrays["path"].astype(int),
            self.arrays["posterior"],
        )
        confidence = posterior[np.arange(len(path)), path]
        return [
            (str(run["arm"]), int(run["seed"]), self.arrays["steps"][a:b], path[a:b], confidence[a:b])
            for run, a, b in zip(self.summary["runs"], offsets[:-1], offsets[1:], strict=True)
        ]


def load(store: Store, row: AnalysisRow) -> Fit:
    """Return a stored fit; its arrays are kept in memory by the key that names them."""
    return Fit(row, _arrays(store, row.key, row))


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=_BY_ROOT)
def _arrays(store: Store, key: str, _row: AnalysisRow) -> dict[str, np.ndarray]:
    return analyses.load(store, _row)


def label(row: AnalysisRow) -> str:
    """Return what an analysis is called in a list."""
    summary = row.summary
    return (
        f"#{row.id} · {summary['n_states']} states · {len(summary['metrics'])} metrics · "
        f"{', '.join(summary['arms'])} · {summary['normalize']} · {ago(row.created_at)}"
    )


def fit_form(lab: Lab, study: str, arms: list[str], known: dict[str, MetricRow]) -> None:
    """Ask what to fit and start it as a job, which goes on when the page is closed."""
    usual = [name for name in WEIGHT_METRICS if name in known] or list(known)
    labels = {name: row.label for name, row in known.items()}
    with st.form("latent.fit", border=False):
        left, right = st.columns(2, gap="large")
        with left:
            chosen_arms = st.multiselect("Arms", arms, default=arms, key="latent.fit.arms")
            metrics = st.multiselect(
                "Metrics",
                list(known),
                default=usual,
                format_func=lambda name: labels[name],
                key="latent.fit.metrics",
            )
        with right:
            states = st.slider("Numbers of states to try", 1, 12, (1, 8), key="latent.fit.states")
            normalize = st.selectbox(
                "Normalization",
                list(NORMALIZE_WORDS),
                format_func=lambda name: f"{name}: {NORMALIZE_WORDS[name]}",
                key="latent.fit.normalize",
                help="Pooled scores compare arms; per-run scores use a run's own future and "
                "length, as Hu et al. 2023.",
            )
            one, two = st.columns(2)
            restarts = one.number_input("Restarts", 1, 100, 10, key="latent.fit.restarts")
            seed = two.number_input("Seed", 0, 2**31 - 1, 0, key="latent.fit.seed")
        if st.form_submit_button("Fit latent states", type="primary", disabled=not lab.access.may_change):
            wanted = fit_request(
                lab.store,
                study,
                arms=chosen_arms or None,
                metrics=metrics or None,
                states=list(range(states[0], states[1] + 1)),
                normalize=normalize,
                restarts=int(restarts),
                seed=int(seed),
            )
            queue.submit(lab.store, "fit", study, wanted.spec)
            st.rerun()
    st.caption(
        "The number of states is chosen on held-out runs; restarts by training likelihood. "
        f"On the command line: `python -m engine fit {study}`."
    )


def last_failure(lab: Lab, study: str) -> None:
    """Say why the newest fit failed, unless a later one went through."""
    jobs = [job for job in lab.store.catalog.jobs(study) if job.kind == "fit"]
    newest = max(jobs, key=lambda job: job.id, default=None)
    if newest is not None and newest.status == "failed" and newest.error:
        error = newest.error
        st.error(
            f"**{error.get('title', 'The fit failed')}.** "
            f"{error.get('message', '')}\n\n{error.get('remedy', '')}"
        )


def fitting(lab: Lab, study: str) -> bool:
    """Whether a fit of the study is waiting or at work."""
    return any(job.kind == "fit" for job in queries.active_jobs(lab.store, study))
