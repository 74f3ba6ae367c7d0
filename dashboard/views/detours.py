"""The states that make runs converge later, the decoys that only look it, and the paths that runs take."""

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, interventions, paths_explorer, queries
from dashboard.charts import best_values, convergence_curves, detour_delays, dwell_intervals, occupancy
from dashboard.charts.palette import MUTED, STATES, state_name
from dashboard.controls import choose, metric_picker
from dashboard.convergence import Rule, Run, detours, follow, rule_picker
from dashboard.fits import Fit, fitting, label, last_failure, load
from dashboard.lab import Lab
from dashboard.links import link
from dashboard.live import live
from dashboard.parts import part
from dashboard.training import job_card
from dashboard.wording import ago, count, interval, sentence, significant
from data.rows import AnalysisRow
from engine.analysis.detours import Detour, dwells
from engine.analysis.detours.finding import MIN_RUNS, PATIENCE
from engine.analysis.detours.visits import stays

TITLE = "Detours"
ICON = ":material/fork_right:"
QUESTION = "Which phases slow training down?"
ORDER = 50

ALL_ARMS = "all arms together"
ALPHA = 0.05
SOURCE = (
    "Hu, Chen, Saphra & Cho 2023, section 3.4 (the idea); Peto & Peto 1972 (log-rank scores); Westfall & "
    "Young 1993 (max-T); Royston & Parmar 2013 (restricted means); Robins 1994 (joint delays)"
)


def render(lab: Lab) -> None:
    """Choose a fit and what counts as converged; then show what delays it."""
    choice = choose(lab.store, arms=False, seeds=False)
    study = choice.study
    known = queries.metrics(lab.store, study.name)
    metric = metric_picker(known, ("full_batch_risk", "test_loss", "own_batch_risk", "batch_loss"))
    rows = lab.store.catalog.analyses(study.name, "latent")
    if fitting(lab, study.name):
        live(lab, study.name, lambda: _jobs(lab, study.name))
    last_failure(lab, study.name)
    if not rows:
        _teach(study.name)
        return
    fit = load(lab.store, _pick(rows))
    arm = _arm(fit)
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
        _slow(fit, rule, runs, version)
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
        st.code(f"python -m engine fit {study}", language="bash")
        link("latent_states", "Fit latent states", ":material/timeline:", study=study)


def _pick(rows: Sequence[AnalysisRow]) -> AnalysisRow:
    labels = [label(row) for row in rows]
    with st.sidebar:
        named = st.selectbox("Analysis", labels, key="latent.analysis", bind="query-params")
    return rows[labels.index(named)]


def _arm(fit: Fit) -> str:
    if len(fit.arms) == 1:
        return fit.arms[0]
    with st.sidebar:
        return st.selectbox(
            "Arm",
            [*fit.arms, ALL_ARMS],
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
        f"{count(len(runs), 'run')} of {arm}{gone} · fitted {ago(fit.row.created_at)}"
    )
    if fit.row.data_version != version:
        st.info(
            "The study has changed since this fit: its states are of the data as they were.",
            icon=":material/history:",
        )


def _how(fit: Fit, formula: str, source: str = "", rule: Rule | None = None) -> figure.Provenance:
    told = f"; converged: {rule.words}" if rule else ""
    query = f"analysis {fit.row.id} of {fit.row.study}, key {fit.row.key}{told}"
    return figure.Provenance(query, formula, fit.row.code_version, fit.row.data_version, source)


def _none_converges(fit: Fit, rule: Rule, runs: Sequence[Run], version: str) -> None:
    """Say how far the runs came instead, and which threshold half of them would reach."""
    frame = pd.DataFrame({"arm": [r.arm for r in runs], "seed": [r.seed for r in runs]})
    frame = frame.assign(best=[run.best for run in runs])
    reached = frame[np.isfinite(frame["best"])]
    side = "lower" if rule.direction == "above" else "raise"
    with st.container(border=True, key="detours.verdict", gap="xsmall"):
        st.markdown(f":gray-badge[No verdict] None of {count(len(runs), 'run')} reaches {rule.words}.")
        if reached.empty:
            st.caption("This metric has no finite value in them; choose another one.")
            return
        half = significant(float(reached["best"].median()))
        st.caption(
            f"Delays are differences of convergence times, so that there are none yet: {side} the threshold. "
            f"Half of the runs reach {half}. Paths, occupancy and dwell times are below, over whole runs."
        )
    figure.show(
        best_values.chart(reached, fit.arms, rule.threshold, f"Best {rule.metric.label.lower()} kept"),
        "detours.best",
        f"Best {rule.metric.label.lower()} that each of {len(reached)} runs keeps for "
        f"{count(rule.patience, 'point')}; the threshold is {significant(rule.threshold)}.",
        reached,
        _how(fit, f"strictest threshold that a run stays beyond for {rule.patience} points", "", rule),
    )


def _slow(fit: Fit, rule: Rule, runs: Sequence[Run], version: str) -> None:
    found = detours(fit, rule, version, runs)
    ranked = sorted(found, key=_rank)
    _headline(rule, runs, ranked)
    left, right = st.columns([5, 4], gap="large")
    with left:
        _delays(fit, rule, runs, ranked)
    with right:
        part(lambda: _curves(fit, rule, runs, ranked))
    _table(fit, runs, ranked)


def _rank(found: Detour) -> tuple[bool, bool, float, int]:
    """Detours first, then by delay; states that were not tested last."""
    tested = math.isfinite(found.p)
    return not found.is_detour, not tested, -found.delay if tested else 0.0, found.state


def reason(found: Detour, runs: Sequence[Run]) -> str:
    """Return in a word or two why a state is or is not a detour."""
    if found.is_detour:
        return "detour"
    if math.isfinite(found.p):
        if found.delay <= 0:
            return "no delay"
        return "chance not excluded" if found.p_adjusted > ALPHA else "not clear jointly"
    if found.visited_by < MIN_RUNS:
        at_all = sum(any(s.state == found.state for s in stays(run.path, PATIENCE)) for run in runs)
        if at_all >= MIN_RUNS and at_all > 2 * found.visited_by:
            return "after convergence"
        return "too few visitors" if at_all else "not visited"
    return "obligatory" if found.others == 0 else "hardly avoidable"


def _headline(rule: Rule, runs: Sequence[Run], ranked: Sequence[Detour]) -> None:
    guilty = [state_name(each.state) for each in ranked if each.is_detour]
    tested = sum(math.isfinite(each.p) for each in ranked)
    times = [run.converged_at for run in runs if run.converged_at is not None]
    censored = len(runs) - len(times)
    with st.container(border=True, key="detours.verdict", gap="xsmall"):
        if guilty:
            word = "is a detour" if len(guilty) == 1 else "are detours"
            st.markdown(f":orange-badge[{count(len(guilty), 'detour')}] **{' and '.join(guilty)}** {word}.")
        elif tested:
            none = "it is not" if tested == 1 else "none is"
            were = count(tested, "optional state was", "optional states were")
            st.markdown(f":gray-badge[No detour] {were} tested; {none} shown to slow runs down.")
        else:
            st.markdown(
                ":gray-badge[Nothing to test] No state is optional: a test needs a state that at least "
                f"{MIN_RUNS} runs visit before they converge and at least {MIN_RUNS} converge without."
            )
        st.caption(
            sentence(
                [
                    f"{len(times)} of {count(len(runs), 'run')} converge ({rule.words}), at step "
                    f"{min(times):,.0f} to {max(times):,.0f}, half of these by {np.median(times):,.0f}",
                    f"Censored: {count(censored, 'run')} that never did" if censored else "",
                    "Every run converged at its first measured point, before it could visit anything: a "
                    "stricter threshold tells more"
                    if all(not len(run.before) for run in runs)
                    else "",
                ]
            )
        )


def _delays(fit: Fit, rule: Rule, runs: Sequence[Run], ranked: Sequence[Detour]) -> None:
    st.subheader(
        "Delay of each state's visitors",
        anchor=False,
        help="Visited: at least 3 rows in a row before convergence. Delay: restricted mean convergence time "
        "of visitors less that of the others, with a bootstrap interval over runs. Thin line and diamond: "
        "the joint delay, with the other late states held fixed and time at risk taken into account.",
    )
    records = [
        {
            "state": state_name(each.state),
            "verdict": reason(each, runs),
            "is_detour": each.is_detour,
            "visited_by": each.visited_by,
            "others": each.others,
            **{
                name: getattr(each, name)
                for name in (
                    "delay", "low", "high", "joint_delay", "joint_low", "joint_high", "p", "p_adjusted",
                    "p_bh", "stability",
                )
            },
            "why": each.why,
        }
        for each in ranked
    ]  # fmt: skip
    frame = pd.DataFrame(records)
    drawn = frame.assign(label=frame["verdict"])
    first = ranked[0]
    told = (
        f"the largest among detours is {state_name(first.state)}, {significant(first.delay)} steps"
        if first.is_detour
        else "none is a detour"
    )
    figure.show(
        detour_delays.chart(drawn, fit.n_states),
        "detours.delays",
        f"Delay of the visitors of {count(fit.n_states, 'state')} in steps, with intervals; {told}.",
        frame,
        _how(
            fit,
            "restricted mean time to convergence of visitors less that of the others (95 % bootstrap over "
            "runs); p: permutation of log-rank scores against visits beyond those that time at risk "
            "explains, one-sided; p_adjusted: max-T over the states tested",
            SOURCE,
            rule,
        ),
        "Disc: a detour. Square: tested and not one. A word alone: not tested, and why.",
    )


def _curves(fit: Fit, rule: Rule, runs: Sequence[Run], ranked: Sequence[Detour]) -> None:
    st.subheader(
        "Visitors against the others",
        anchor=False,
        help="Kaplan-Meier: the share of runs that have not converged yet, with 95 % log-log intervals; "
        "strokes are runs last seen without having converged.",
    )
    states = {state_name(each.state): each for each in ranked if each.visited_by and each.others}
    if not states:
        st.info(
            "Every state is visited by all runs before they converge, or by none: there are no two groups "
            "to compare.",
            icon=":material/call_split:",
        )
        return
    name = st.selectbox("State", list(states), key="detours.state", bind="query-params", width=160)
    each = states[name]
    visited = np.isin(np.arange(len(runs)), each.visitors)
    times = np.array([run.time for run in runs])
    observed = np.array([run.converged_at is not None for run in runs])
    groups = (f"visited {name.lower()}", "did not")
    curves = [
        convergence_curves.curve(times[side], observed[side], group)
        for side, group in ((visited, groups[0]), (~visited, groups[1]))
    ]
    colour = alt.Color(
        "group:N",
        title=None,
        scale=alt.Scale(domain=list(groups), range=[STATES[each.state % len(STATES)], MUTED]),
        legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, offset=4),
    )
    tested = math.isfinite(each.p)
    figure.show(
        convergence_curves.chart(curves, colour, height=240),
        "detours.curves",
        f"Share of runs not yet converged: {each.visited_by} that visited {name.lower()} against "
        f"{each.others} others.",
        pd.concat([part.steps for part in curves], ignore_index=True),
        _how(fit, "Kaplan-Meier, 95 % log-log interval", "Kaplan & Meier 1958", rule),
        sentence(
            [
                f"{each.visited_by} visitors, {each.others} others",
                f"Delay {significant(each.delay)} {interval(each.low, each.high)} steps, adjusted p "
                f"{significant(each.p_adjusted, 2)}"
                if tested
                else f"Not tested: {reason(each, runs)}",
                "A late run has had more time to visit anything: the gap alone proves nothing",
            ]
        ),
    )


def _table(fit: Fit, runs: Sequence[Run], ranked: Sequence[Detour]) -> None:
    """Show every number behind the verdicts, and each verdict in a sentence."""
    refitted = "refits" in fit.summary and fit.summary["refits"]["count"] > 0
    rows = []
    for each in ranked:
        tested = math.isfinite(each.p)
        word = reason(each, runs)
        rows.append(
            {
                "State": f"**{each.state}**",
                "Verdict": f":orange-badge[{word}]" if each.is_detour else f":gray-badge[{word}]",
                "Visited by": f"{each.visited_by} of {each.visited_by + each.others}",
                "Delay, 95 % interval [steps]": _told(each.delay, each.low, each.high),
                "Joint delay [steps]": _told(each.joint_delay, each.joint_low, each.joint_high),
                "p": significant(each.p, 2) if tested else "–",
                "p, max-T": significant(each.p_adjusted, 2) if tested else "–",
                "p, BH": significant(each.p_bh, 2) if tested else "–",
                "Stability": f"{each.stability:.0%}" if math.isfinite(each.stability) else "–",
            }
        )
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
    stable = (
        f"Stability: share of {fit.summary['refits']['count']} refits to bootstrapped seeds in which the "
        "matched state is a detour again."
        if refitted
        else "Stability: share of 1,000 bootstrap resamples of the runs in which the state is a detour again "
        "with the states held fixed. Stability under refits was not computed for this fit; fit again with "
        "refits."
    )
    st.caption(f"p: one-sided permutation, 4,999 draws. {stable}")
    with st.expander("Why each state is or is not a detour", key="detours.why", type="compact"):
        st.markdown("\n".join(f"- **{state_name(each.state)}**: {each.why}" for each in ranked))


def _told(value: float, low: float, high: float) -> str:
    return f"{significant(value)} {interval(low, high)}" if math.isfinite(value) else "–"


def _occupancy(fit: Fit, runs: Sequence[Run]) -> None:
    st.subheader("Which state runs are in", anchor=False, help="Share of runs in each state at each step.")
    frame = occupancy.shares([run.steps for run in runs], [run.path for run in runs], fit.n_states)
    least, most = int(frame["n"].min()), int(frame["n"].max())
    n = f"n = {most} runs at every step" if least == most else f"n falls from {most} to {least} runs"
    figure.show(
        occupancy.chart(frame, fit.n_states),
        "detours.occupancy",
        f"Share of {len(runs)} runs in each of {fit.n_states} states over training.",
        frame.drop(columns=["order"]),
        _how(fit, "runs whose most probable path is in the state, over runs measured then", "Rabiner 1989"),
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
        dwell_intervals.chart(frame, fit.n_states),
        "detours.dwell",
        "Mean dwell time in steps: "
        + "; ".join(
            f"{name} {significant(mean)}" for name, mean in seen[["state", "mean"]].itertuples(index=False)
        )
        + ".",
        seen,
        _how(
            fit,
            "(ends + rows followed + 1) / ends, in steps of the measured points",
            "Gelman et al. 2013",
            rule,
        ),
        f"{count(int(seen['stays'].sum()), 'stay')} of {count(len(runs), 'run')}, "
        f"{int(seen['left'].sum())} with an end.",
    )
