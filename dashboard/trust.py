"""How far to believe a fit of latent states, in figures and sentences."""

import numpy as np
import streamlit as st

from dashboard.fits import Fit
from dashboard.wording import significant
from data.rows import MetricRow


def trust_panel(fit: Fit, known: dict[str, MetricRow]) -> None:
    """Show what supports the fit and everything that should lower the belief in it."""
    summary = fit.summary
    trust = summary.get("trust", {})
    st.subheader("How far to believe it", anchor=False)
    correlation = [value for value in trust.get("autocorrelation", []) if value is not None]
    typical = significant(float(np.median(correlation)), 2) if correlation else "–"
    held = sum(bool(run.get("held_out")) for run in summary["runs"])
    confidence = np.concatenate([each for *_, each in fit.paths()])
    rows = {
        "Restarts at the best": f"**{trust.get('restart_hits', '–')}** of {summary['restarts']}, the worst "
        f"{significant(trust.get('restart_spread'), 2)} nats/obs. below",
        "Certainty of states": f"**{confidence.mean():.2f}** mean posterior; "
        f"{(confidence < 0.9).mean():.0%} of points "
        "below 0.9",
        "Correlation within states": f"**{typical}** at lag 1, the model assumes 0",
        "Runs": f"{len(summary['runs'])}, each held out once in **{trust['folds']}** folds to choose K"
        if "folds" in trust
        else f"{len(summary['runs']) - held} to fit, **{held}** held out to choose K",
    }
    st.table(rows, border="horizontal")
    dropped = summary.get("dropped", [])
    if dropped:
        st.caption(
            f"{len(dropped)} left out: "
            + "; ".join(
                f"{known[d['metric']].label if d['metric'] in known else d['metric']} ({d['why']})"
                for d in dropped
            )
            + "."
        )
    doubts = [
        text
        for text in summary.get("warnings", [])
        if not (dropped and "left out:" in text and "metric" in text)
    ]
    if doubts:
        with st.container(border=True, key="latent.doubts", gap="xsmall"):
            st.markdown(":orange[:material/warning:] **Reasons for doubt**")
            st.markdown("\n".join(f"- {text}" for text in doubts))
    else:
        st.caption("Nothing in the fit itself speaks against it.")
