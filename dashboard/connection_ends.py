"""How the two ends of a path were trained: the latent states of both runs, under their loss."""

import pandas as pd
import streamlit as st

from dashboard import figure, fits, queries
from dashboard.charts import ribbons
from dashboard.connections import Connection
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.prepared import Prepared, prepare
from data.rows import MetricRow

PREFERRED = ("test_loss", "full_batch_risk", "train_loss", "own_batch_risk", "batch_loss")
_POINTS = 800


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show the states that both ends went through, or say how to find them."""
    st.subheader("How both ends were trained", anchor=False)
    ends = [(node.arm, node.seed) for node in connection.nodes if node.seed is not None]
    if not ends:
        st.caption("Both networks are uploaded: how they were trained is not known here.")
        return
    fit = _fit(lab, choice, ends)
    if fit is None:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.caption(
                "No latent states have been fitted to these runs: no ribbon says which phases "
                "they went through."
            )
            link("latent_states", "Fit latent states", ":material/timeline:", study=choice.study.name)
        return
    known = queries.metrics(lab.store, choice.study.name)
    metric = next((known[name] for name in PREFERRED if name in known), next(iter(known.values()), None))
    if metric is None:
        return
    version = lab.store.traces.version(choice.study.name)
    found = _drawn(lab, version, fit, metric, ends)
    if found is None:
        return
    chart, rows = found
    figure.show(
        chart,
        "connectivity.ends",
        f"Latent states of {', '.join(_called(arm, seed) for arm, seed in ends)} along training, under "
        f"{metric.label.lower()}.",
        rows,
        fits.provenance(
            fit, "Viterbi path; shade: posterior probability of the state on the path", "Rabiner 1989"
        ),
        f"States of fit #{fit.row.id}; above, {metric.label.lower()} of both runs.",
    )


def _fit(lab: Lab, choice: Choice, ends: list[tuple[str, int]]) -> fits.Fit | None:
    """Return the newest fit that holds both runs."""
    for row in lab.store.catalog.analyses(choice.study.name, "latent"):
        held = {(run["arm"], run["seed"]) for run in row.summary["runs"]}
        if held >= set(ends):
            return fits.load(lab.store, row)
    return None


def _called(arm: str, seed: int) -> str:
    return f"{arm} {seed}"


def _drawn(
    lab: Lab, version: str, fit: fits.Fit, metric: MetricRow, ends: list[tuple[str, int]]
) -> tuple[Prepared, pd.DataFrame] | None:
    parts, losses = list[pd.DataFrame](), list[pd.DataFrame]()
    for arm, seed in dict.fromkeys(ends):
        parts.append(fit.stretches(arm, (seed,)).frame.assign(row=_called(arm, seed)))
        lines = queries.thin(
            lab.store, version, fit.row.study, metric.name, "step", (arm,), (seed,), None, None, _POINTS, 1
        ).frame
        losses.append(pd.DataFrame({"row": _called(arm, seed), "x": lines["x"], "value": lines["value"]}))
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        return None
    rows = list(dict.fromkeys(frame["row"]))
    chart = ribbons.chart(
        frame, pd.concat(losses, ignore_index=True), rows, fit.n_states, metric.label, metric.log
    )
    return prepare(chart), frame.drop(columns=["row"])
