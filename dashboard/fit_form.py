"""The form that starts a fit of latent states as a job, with what it will cost."""

import shlex
from collections.abc import Mapping
from typing import Any, get_args

import streamlit as st

from dashboard import queries
from dashboard.fits import NORMALIZE_WORDS, Fit
from dashboard.lab import Lab
from dashboard.wording import coded, count, duration
from data.rows import MetricRow
from engine.jobs import queue
from engine.jobs.fit_request import (
    REFITS,
    WEIGHT_METRICS,
    Covariance,
    FitRequest,
    Normalize,
    Topology,
    fit_request,
)

FORM = "latent.new"
NORMALIZE = get_args(Normalize)
FOLDS, STARTS = 5, 4
"""Folds of the cross-validation, and the climbs of each for every number of states."""
SECONDS_PER_UNIT = 1.5e-7
"""Of a climb per row, state and statistic of a row, on two cores: 1.3e-7 to 1.6e-7 on the demo study."""
COVARIANCE_WORDS = {
    "diag": "diag: metrics vary on their own within a state",
    "full": "full: each state has its own correlations",
    "tied": "tied: all states share one covariance",
}
TOPOLOGY_WORDS = {
    "ergodic": "ergodic: any state may follow any other",
    "left-to-right": "left-to-right: a state left is never entered again",
}


def fit_form(lab: Lab, study: str, arms: list[str], known: dict[str, MetricRow]) -> None:
    """Ask what to fit and start it as a job, which goes on when the page is closed."""
    st.fragment(_form)(lab, study, arms, known)


def _form(lab: Lab, study: str, arms: list[str], known: dict[str, MetricRow]) -> None:
    usual = [name for name in WEIGHT_METRICS if name in known] or list(known)
    left, right = st.columns(2, gap="large")
    with left:
        chosen_arms = st.multiselect(
            "Arms", arms, key="latent.fit.arms", placeholder="All arms",
            help="Arms fitted together share their states, so that they can be compared.",
        )  # fmt: skip
        metrics = st.multiselect(
            "Metrics", list(known), default=usual, format_func=lambda name: known[name].label,
            key="latent.fit.metrics",
            help="What the model reads of every run. Constant and duplicate metrics are left out and named.",
        )  # fmt: skip
        states = st.slider(
            "Numbers of states to try", 1, 12, (1, 8), key="latent.fit.states",
            help="All of them are fitted; cross-validation over runs chooses one.",
        )  # fmt: skip
        with st.container(horizontal=True, gap="small"):
            every = st.number_input(
                "Every N-th row", 1, 10**6, None, placeholder="auto", key="latent.fit.every", width=130,
                help="Thinning: rows 0, N, 2N, … of each run. Auto leaves at most 1,000 rows. Thin until "
                "neighbouring rows within a state no longer correlate, or too many states are chosen.",
            )  # fmt: skip
            restarts = st.number_input(
                "Restarts", 1, 1000, 10, key="latent.fit.restarts", width=110,
                help="Starts for every number of states: k-means, sticky k-means, equal time segments, "
                "random.",
            )  # fmt: skip
            refits = st.number_input(
                "Refits", 0, 1000, REFITS, key="latent.fit.refits", width=110,
                help="Bootstrap samples of the seeds to which the chosen number of states is fitted again.",
            )  # fmt: skip
    with right:
        normalize = st.selectbox(
            "Normalization", NORMALIZE,
            format_func=lambda name: f"{name}: {NORMALIZE_WORDS[name]}", key="latent.fit.normalize",
            help="Pooled scores compare arms; per-run scores use a run's own future and length, as "
            "Hu et al. 2023.",
        )  # fmt: skip
        covariance = st.selectbox(
            "Covariance", get_args(Covariance), format_func=lambda name: COVARIANCE_WORDS[name],
            key="latent.fit.covariance",
            help="Shape of a state's covariance. Full needs many more rows; a floor keeps it well-behaved.",
        )  # fmt: skip
        topology = st.selectbox(
            "Topology", get_args(Topology), format_func=lambda name: TOPOLOGY_WORDS[name],
            key="latent.fit.topology",
            help="Left-to-right suits training that only moves on; ergodic lets runs come back.",
        )  # fmt: skip
        seed = st.number_input(
            "Seed", 0, 2**31 - 1, 0, key="latent.fit.seed", width=110,
            help="Of the starts, the folds and the refits: the same seed gives the same fit.",
        )  # fmt: skip
    wanted = fit_request(
        lab.store,
        study,
        arms=chosen_arms or arms,
        metrics=metrics or usual,
        states=list(range(states[0], states[1] + 1)),
        normalize=normalize or "per-run",
        covariance=covariance or "diag",
        restarts=int(restarts or 10),
        seed=int(seed or 0),
        topology=topology or "ergodic",
        every=None if every is None else int(every),
        refits=int(refits or 0),
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        if st.button(
            "Fit latent states", icon=":material/timeline:", type="primary", key="latent.fit.start",
            disabled=not lab.access.may_change,
        ):  # fmt: skip
            queue.submit(lab.store, "fit", study, wanted.spec)
            st.rerun()
        command = shlex.join(["python", "-m", "engine", "fit", study])
        st.caption(f"{_expected(lab, wanted)} On the command line: {coded(command)}.")


def prefill(fit: Fit, every: int) -> None:
    """Open the form with what a fit was asked for, thinned further."""
    told, asked = fit.summary, fit.row.inputs
    fields: dict[str, Any] = {name: told[name] for name in ("covariance", "topology") if name in told}
    fields |= {"metrics": list(told["requested"]), "arms": list(fit.arms), "every": every}
    if told["normalize"] in NORMALIZE:
        fields["normalize"] = told["normalize"]
    fields |= {name: asked[name] for name in ("restarts", "seed", "refits") if name in asked}
    if "states" in asked:
        fields["states"] = (min(asked["states"]), max(asked["states"]))
    for name, value in fields.items():
        st.session_state[f"latent.fit.{name}"] = value
    st.session_state[FORM] = True


def _expected(lab: Lab, wanted: FitRequest) -> str:
    """Say how many climbs a fit takes and how long they are likely to."""
    version = lab.store.traces.version(wanted.study)
    runs = queries.matrices(lab.store, version, wanted.study, wanted.metrics[0])
    rows = sum(len(run.steps) for run in runs if run.arm in wanted.arms) / (wanted.every or 1)
    climbs = _climbs(wanted.spec)
    pace = _pace(lab)
    seconds = _units(wanted.spec, rows) * (pace or SECONDS_PER_UNIT)
    basis = "at the pace of the last fit here" if pace else "a first guess"
    return (
        f"{count(sum(climbs.values()), 'climb')}, about {duration(max(seconds, 1.0))} ({basis}); "
        "its progress and a Stop button then stand above."
    )


def _climbs(asked: Mapping[str, Any]) -> dict[int, int]:
    """Return how often EM climbs for each number of states; the refits count for the largest."""
    restarts = int(asked["restarts"])
    found = {k: restarts + FOLDS * min(restarts, STARTS) if k > 1 else 1 + FOLDS for k in asked["states"]}
    found[max(found)] += int(asked.get("refits", 0))
    return found


def _units(asked: Mapping[str, Any], rows: float) -> float:
    """Return the work of a fit, of which a climb takes rows times states times statistics of a row."""
    width = len(asked["metrics"])
    statistics = 2 * width if asked["covariance"] == "diag" else width * (width + 3) / 2
    return rows * statistics * sum(k * n for k, n in _climbs(asked).items())


def _pace(lab: Lab) -> float | None:
    """Return the seconds per unit of work of the newest fit made in this store; None without any."""
    done = [
        job for job in lab.store.catalog.jobs() if job.kind == "fit" and job.status == "done" and job.result
    ]
    for job in sorted(done, key=lambda job: -job.id):
        if job.result and job.result["fitted"] and job.started_at and job.finished_at:
            row = lab.store.catalog.analysis(int(job.result["analysis"]))
            rows = sum(run["steps"] for run in row.summary["runs"])
            return (job.finished_at - job.started_at).total_seconds() / _units(row.inputs, rows)
    return None
