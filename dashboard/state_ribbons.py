"""The states of every seed along training, under its loss."""

import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.charts import ribbons
from dashboard.controls import Choice
from dashboard.convergence import Rule, follow, rule_picker
from dashboard.fits import MOST_STRETCHES, Fit, provenance
from dashboard.lab import Lab
from dashboard.wording import count, escaped, sentence
from data.rows import MetricRow

LINE_POINTS = 4000
ORDERS = {"seed": "Seed", "convergence": "Time of convergence"}


def state_ribbons(lab: Lab, choice: Choice, fit: Fit, metric: MetricRow, known: dict[str, MetricRow]) -> None:
    """Draw the states of every seed of the shown arms under its metric, all on one axis of steps."""
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
    order = st.segmented_control(
        "Seeds from top to bottom by", list(ORDERS), format_func=lambda name: ORDERS[name], default="seed",
        required=True, key="latent.order", bind="query-params",
    )  # fmt: skip
    rule = rule_picker(lab, choice.study, known, version) if order == "convergence" else None
    ends = _converged(lab, fit, rule, version) if rule else {}
    paths = [steps for arm, _, steps, _, _ in fit.paths() if arm in arms and len(steps)]
    if not paths:
        return
    domain = float(min(steps[0] for steps in paths)), float(max(steps[-1] for steps in paths))
    columns = st.columns(2, gap="large") if len(arms) > 1 else [st.container()]
    most = MOST_STRETCHES // len(arms)
    for index, arm in enumerate(arms):
        with columns[index % len(columns)]:
            _ribbon(lab, choice, fit, metric, arm, version, rule, ends, domain, most)


def _converged(lab: Lab, fit: Fit, rule: Rule, version: str) -> dict[tuple[str, int], float | None]:
    """Return when each run of the fit converged, by arm and seed; None for never."""
    return {(run.arm, run.seed): run.converged_at for run in follow(lab, fit, rule, version)}


def _ribbon(
    lab: Lab,
    choice: Choice,
    fit: Fit,
    metric: MetricRow,
    arm: str,
    version: str,
    rule: Rule | None,
    ends: dict[tuple[str, int], float | None],
    domain: tuple[float, float],
    most: int,
) -> None:
    frame, cell = fit.stretches(arm, choice.seeds, most)
    if frame.empty:
        st.caption(f"{escaped(arm)}: none of the chosen seeds is in this analysis.")
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
    reached = {row: ends.get((arm, int(row))) for row in frame["row"].unique()}
    late = float("inf")
    rows = sorted(reached, key=lambda row: (late if reached[row] is None else reached[row], int(row)))
    marks = pd.DataFrame([{"row": row, "x": at} for row, at in reached.items() if at is not None])
    never = sum(at is None for at in reached.values())
    st.markdown(f"**{escaped(arm)}**")
    figure.show(
        ribbons.chart(
            frame, loss, rows, fit.n_states, metric.label, metric.log, marks if rule else None, domain
        ),
        f"latent.ribbons.{arm}",
        f"Latent states of {count(len(rows), 'seed')} of {arm} along training, under {metric.label.lower()}.",
        frame.drop(columns=["row"]),
        provenance(
            fit,
            "Viterbi path; shade: posterior probability of the state on the path"
            + (f"; converged: {rule.words}" if rule else ""),
            "Rabiner 1989",
        ),
        sentence(
            [
                f"Earliest on top; the triangle is where {rule.words} first holds" if rule else "",
                f"{count(never, 'seed')} never got there" if rule and never else "",
                f"Each cell of {count(cell, 'step')} shows the state that most of its points are in"
                if cell
                else "",
            ]
        ),
    )
