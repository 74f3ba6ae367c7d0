"""The paths that runs take: choose a path to see its runs, choose a run to see its ribbon under its loss."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.charts import ribbons, seed_ribbons
from dashboard.charts import routes as routes_chart
from dashboard.convergence import Rule, Run, provenance
from dashboard.fits import MOST_STRETCHES, Fit
from dashboard.lab import Lab
from dashboard.prepared import prepare
from dashboard.wording import count, escaped, sentence
from data.rows import MetricRow
from engine.analysis.detours import Route, routes

ALL = "all paths"
AT_ONCE = "converged at once"
RENEWED = "detours.renewed"
SOURCE = "Rabiner 1989; Hu, Chen, Saphra & Cho 2023"
MOST_ROUTES = 12
MOST_RIBBONS = 60


def explore(lab: Lab, fit: Fit, rule: Rule, runs: Sequence[Run], metric: MetricRow, version: str) -> None:
    """Show the paths, the runs of one of them, and one run; the choice is in the address."""
    found = routes(
        [run.path for run in runs], [run.converged_at for run in runs], [run.steps for run in runs]
    )
    named = {name(route): route for route in found}
    st.subheader(
        "Paths that runs take before they converge",
        anchor=False,
        help="The states that a run went through, in order; stays of fewer than 3 rows are passed over. "
        "Click a path to see its runs, click a run to see its ribbon under its loss; or use the lists.",
    )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        path = st.selectbox(
            "Path", [ALL, *named], key="detours.path", bind="query-params", width=320, on_change=_renew
        )
        chosen = named[path].runs if path in named else range(len(runs))
        shown = sorted((runs[at] for at in chosen), key=lambda run: (run.converged_at is None, run.time))
        run_name = st.selectbox(
            "Run", [run.name for run in shown], index=None, key="detours.run", bind="query-params",
            width=320, placeholder="Click a ribbon, or choose", on_change=_renew,
        )  # fmt: skip
    left, right = st.columns([4, 5], gap="large")
    with left:
        _routes(fit, rule, named, path if path in named else None, runs)
    with right:
        _runs(fit, rule, shown, run_name)
    if run_name is not None:
        _run(lab, fit, rule, next(run for run in shown if run.name == run_name), metric, version)


def name(route: Route) -> str:
    """Return what a path is called: "0 → 1 → 3"."""
    return " → ".join(map(str, route.states)) or AT_ONCE


def _renew() -> None:
    """Give the charts new keys, which ends their own selections: the lists say what is chosen now."""
    st.session_state[RENEWED] = st.session_state.get(RENEWED, 0) + 1


def _key(chart: str) -> str:
    return f"detours.{chart}.{st.session_state.get(RENEWED, 0)}"


def _chosen(chart: str, field: str, widget: str) -> None:
    """Take over into a list what was clicked in a chart."""
    clicked = st.session_state[chart]["selection"].get(routes_chart.PICK, [])
    if clicked:
        st.session_state[widget] = clicked[0][field]


def _routes(fit: Fit, rule: Rule, named: dict[str, Route], path: str | None, runs: Sequence[Run]) -> None:
    shown = list(named.items())[:MOST_ROUTES]
    told = pd.DataFrame(
        [
            {"route": label, "row": row, "length": len(route.states), "text": _told(route),
             "runs": len(route.runs), "converged": sum(at is not None for at in route.converged_at),
             "median": _median(route)}
            for row, (label, route) in enumerate(shown)
        ]
    )  # fmt: skip
    more = len(named) - len(shown)
    rest = sum(len(route.runs) for route in list(named.values())[MOST_ROUTES:])
    key = _key("routes")
    figure.show(
        prepare(routes_chart.chart(
            routes_chart.blocks(list(told["route"]), [route.states for _, route in shown]),
            told, path, fit.n_states,
        )),
        key,
        f"{count(len(named), 'path')} of {count(len(runs), 'run')}: "
        + "; ".join(f"{label}, {count(len(route.runs), 'run')}" for label, route in shown)
        + ".",
        told.drop(columns=["row"]),
        provenance(fit, "states of stays of at least 3 rows, in order, up to convergence", SOURCE, rule),
        sentence(
            [
                "After each path: how many runs took it, and the median step at which they converged",
                f"{count(more, 'rarer path')} of {count(rest, 'run')} in the list above" if more > 0 else "",
            ]
        ),
        on_select=lambda: _chosen(key, "route", "detours.path"),
    )  # fmt: skip


def _median(route: Route) -> float:
    """Return the median time of convergence; infinite where half of the runs or more never converged."""
    return float(np.median([np.inf if at is None else at for at in route.converged_at]))


def _told(route: Route) -> str:
    middle = _median(route)
    when = f"step {middle:,.0f}" if np.isfinite(middle) else "not converged"
    return f"{count(len(route.runs), 'run')}, {when}"


def _runs(fit: Fit, rule: Rule, shown: Sequence[Run], picked: str | None) -> None:
    drawn = shown[:MOST_RIBBONS]
    one_arm = len({run.arm for run in drawn}) == 1
    frame = _stretches(drawn)
    if len(frame) > MOST_STRETCHES:
        longest = max(int(run.steps[-1] - run.steps[0]) for run in drawn)
        frame = _stretches(drawn, max(longest * len(drawn) // MOST_STRETCHES, 1))
    ends = pd.DataFrame(
        {
            "run": [run.name for run in drawn],
            "label": [f"{run.seed}" if one_arm else run.name for run in drawn],
            "converged_at": [np.nan if run.converged_at is None else run.converged_at for run in drawn],
        }
    )
    key = _key("runs")
    late = sum(run.converged_at is None for run in shown)
    figure.show(
        prepare(seed_ribbons.chart(frame, ends, picked, fit.n_states)),
        key,
        f"States of {count(len(drawn), 'run')} along training, earliest convergence on top.",
        frame.merge(ends[["run", "converged_at"]], on="run"),
        provenance(fit, "Viterbi path; shade: posterior probability of the state on the path", SOURCE, rule),
        sentence(
            [
                "Seeds from the earliest convergence down; the triangle marks where each converged"
                if one_arm
                else "Runs from the earliest convergence down; the triangle marks where each converged",
                f"{count(late, 'run')} never did" if late else "",
                f"The first {MOST_RIBBONS} of {len(shown)} runs" if len(shown) > len(drawn) else "",
            ]
        ),
        on_select=lambda: _chosen(key, "run", "detours.run"),
    )


def _stretches(runs: Sequence[Run], cell: int | None = None) -> pd.DataFrame:
    """Return the ribbons of some runs, with what each is called; by cells of steps where one is given."""
    parts = [
        ribbons.stretches(run.steps, run.path, run.confidence, run.arm, run.seed, cell=cell).assign(
            run=run.name
        )
        for run in runs
    ]
    return pd.concat(parts, ignore_index=True)


def _run(lab: Lab, fit: Fit, rule: Rule, run: Run, metric: MetricRow, version: str) -> None:
    lines = queries.thin(
        lab.store, version, fit.row.study, metric.name, "step", (run.arm,), (run.seed,), None, None, 1000, 1
    ).frame
    loss = pd.DataFrame({"row": lines["seed"].astype(str), "x": lines["x"], "value": lines["value"]})
    frame = _stretches([run])
    at = [] if run.converged_at is None else [run.converged_at]
    when = "never converged" if run.converged_at is None else f"converged at step {run.converged_at:,.0f}"
    st.markdown(f"**{escaped(run.name)}**, {when}")
    figure.show(
        ribbons.chart(
            frame.assign(row=str(run.seed)),
            loss,
            [str(run.seed)],
            fit.n_states,
            metric.label,
            metric.log,
            pd.DataFrame({"row": [str(run.seed)] * len(at), "x": at}),
        ),
        "detours.run.ribbon",
        f"Latent states of {run.name} under its {metric.label.lower()}; it {when}.",
        frame,
        provenance(fit, "Viterbi path; shade: posterior probability of the state on the path", SOURCE, rule),
    )
