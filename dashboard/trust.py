"""How far to believe a fit of latent states, in figures and sentences."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard.fit_form import prefill
from dashboard.fits import Fit
from dashboard.lab import Lab
from dashboard.wording import count, escaped, message, significant, spans
from data.rows import MetricRow
from engine.analysis.decorrelation import AUTOCORRELATED, advised_thinning, decorrelation

SAME = 1e-3
"""Nats per observation within which restarts count as having reached the same optimum."""
SUSPECT = 0.3
"""Median correlation of neighbouring rows within states from which the form is offered with thinning."""


LEAST_ROWS = 10
"""Rows of the shortest run below which thinning leaves too little to fit."""


def trust_panel(lab: Lab, fit: Fit, known: dict[str, MetricRow]) -> None:
    """Show what supports the fit and everything that should lower the belief in it."""
    st.subheader("How far to believe it", anchor=False)
    trust = fit.summary.get("trust", {})
    rows = {**_search(fit, trust), **_paths(fit, trust), "Correlation within states": _correlation(trust)}
    st.table({name: text for name, text in rows.items() if text}, border="horizontal")
    _remedy(lab, fit, trust)
    for text in (_left_out(fit, known), _cut(fit)):
        if text:
            st.caption(text)
    _doubts(fit)


def _search(fit: Fit, trust: dict[str, Any]) -> dict[str, str]:
    """Return what the search over starts and numbers of states says, a line each."""
    summary = fit.summary
    chosen = next((row for row in summary["table"] if row["n_states"] == fit.n_states), None)
    hits, spread = trust.get("restart_hits"), trust.get("restart_spread")
    rows = {}
    if hits is not None:
        total = len(chosen["restart_logliks"]) if chosen else summary["restarts"]
        rows["Restarts at the best"] = (
            f"**{hits}** of {total} within {SAME:g} nats/obs.; the worst {significant(spread, 2)} below"
        )
    if chosen and chosen.get("converged") is not None:
        rows["EM converged"] = f"**{chosen['converged']}** of {len(chosen['restart_logliks'])} restarts"
    if chosen and chosen["heldout_loglik"] is not None:
        rows["Held-out likelihood"] = (
            f"**{significant(chosen['heldout_loglik'], 4)}** ± {significant(chosen['heldout_se'], 2)} "
            "nats/obs."
        )
    if "folds" in trust:
        rows["Choice of K"] = f"{count(len(summary['runs']), 'run')} in **{trust['folds']}** folds by seed"
    return rows


def _paths(fit: Fit, trust: dict[str, Any]) -> dict[str, str]:
    """Return what is known of the paths themselves, a line each."""
    confidence = np.concatenate([each for *_, each in fit.paths()])
    unsure = float((confidence < 0.9).mean())
    rivals = trust.get("rivals", [])
    rows = {
        "Certainty of states": f"**{confidence.mean():.2f}** mean posterior; {unsure:.0%} of points below 0.9"
    }
    if trust.get("entropy") is not None:
        rows["Posterior entropy"] = f"**{trust['entropy']:.1%}** of ln K: 0 is certain, 100 % a guess"
    if rivals:
        each = ", ".join(f"{rival['agreement']:.0%}" for rival in rivals)
        rows["Paths of the next-best fits"] = f"**{each}** of points in the same state"
    refits = fit.summary.get("refits")
    if refits and refits["count"]:
        agreement = np.array(refits["agreement"], dtype=float)
        low, middle, high = np.quantile(agreement, [0.025, 0.5, 0.975])
        rows["Paths of bootstrap refits"] = (
            f"**{middle:.0%}** of points in the same state, 95 % of {refits['count']} refits {low:.0%} to "
            f"{high:.0%}"
        )
    return rows


def _typical(trust: dict[str, Any]) -> float | None:
    values = [value for value in trust.get("autocorrelation", []) if value is not None]
    return float(np.median(values)) if values else None


def _correlation(trust: dict[str, Any]) -> str:
    typical = _typical(trust)
    if typical is None:
        return ""
    values = [value for value in trust["autocorrelation"] if value is not None]
    return f"**{typical:.2f}** at lag 1, median of {count(len(values), 'metric')}; the model assumes 0"


def _remedy(lab: Lab, fit: Fit, trust: dict[str, Any]) -> None:
    """Offer to fit again with rows so far apart that they no longer correlate within a state."""
    typical = _typical(trust)
    if typical is None or typical <= AUTOCORRELATED:
        return
    longest = max(run["steps"] for run in fit.summary["runs"])
    apart = advised_thinning(typical, longest)
    if apart is None:
        st.caption(
            f"Rows that no longer correlate lie {decorrelation(typical)} rows apart, too far for runs of "
            f"{count(longest, 'row')}: thinning cannot mend it. The states are sections of a drift, and "
            "their "
            "number says how finely it is cut."
        )
        return
    every = apart * int(fit.summary.get("every", 1))
    st.button(
        f"Thin to every {every} rows and fit again", icon=":material/filter_list:", key="latent.thin",
        on_click=prefill, args=(fit, every), disabled=not lab.access.may_change,
        help="Rows this far apart correlate by 0.2 at most, if what a state leaves unexplained is a "
        "first-order autoregression. Fills in the form above; nothing starts yet.",
    )  # fmt: skip


def _left_out(fit: Fit, known: dict[str, MetricRow]) -> str:
    """Say which metrics were dropped, and why."""
    dropped = fit.summary.get("dropped", [])
    if not dropped:
        return ""
    told = [
        f"{escaped(known[d['metric']].label if d['metric'] in known else d['metric'])} ({d['why']})"
        for d in dropped
    ]
    return f"{count(len(dropped), 'metric')} left out: {'; '.join(told)}."


def _cut(fit: Fit) -> str:
    """Say which runs were cut at their divergence, and which had too few rows to be fitted."""
    runs = pd.DataFrame(fit.summary["runs"])
    told = []
    for arm, own in runs.groupby("arm", sort=False):
        cut = own[own["cut_at"].notna()]
        if len(cut):
            at = "; ".join(
                f"seed {seed} at step {step:,.0f}"
                for seed, step in zip(cut["seed"], cut["cut_at"], strict=True)
            )
            told.append(f"{escaped(str(arm))}: {count(len(cut), 'run')} cut where a metric diverged ({at})")
        left = own[own["left_out"].astype(bool)]
        if len(left):
            told.append(
                f"{escaped(str(arm))}: {count(len(left), 'run')} left out, too short "
                f"(seeds {spans(left['seed'])})"
            )
    return " ".join(f"{text}." for text in told)


def _doubts(fit: Fit) -> None:
    dropped = fit.summary.get("dropped", [])
    doubts = [
        text
        for text in fit.summary.get("warnings", [])
        if not (dropped and "left out:" in text and "metric" in text)
    ]
    if not doubts:
        st.caption("Nothing in the fit itself speaks against it.")
        return
    with st.container(border=True, key="latent.doubts", gap="xsmall"):
        st.markdown(":orange[:material/warning:] **Reasons for doubt**")
        st.markdown("\n".join(f"- {message(text)}" for text in doubts))
