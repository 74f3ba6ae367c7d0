"""Which states slow runs down: the verdict on each state, its evidence, and why the others are none."""

import math
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import convergence_curves, detour_delays
from dashboard.charts.palette import MUTED, STATES, state_name
from dashboard.convergence import Rule, Run, detours, provenance
from dashboard.fits import Fit
from dashboard.parts import part
from dashboard.prepared import prepare
from dashboard.wording import count, escaped, interval, sentence, significant
from engine.analysis.detours import Detour
from engine.analysis.detours.prepared import MIN_RUNS, PATIENCE
from engine.analysis.detours.visits import stays

ALPHA = 0.05
SOURCE = (
    "Hu, Chen, Saphra & Cho 2023, section 3.4 (the idea); Peto & Peto 1972 (log-rank scores); Westfall & "
    "Young 1993 (max-T); Royston & Parmar 2013 (restricted means); Robins 1994 (joint delays)"
)


def show(fit: Fit, rule: Rule, runs: Sequence[Run], version: str) -> None:
    """Show the verdict on every state, for runs of which at least one converged."""
    found = detours(fit, rule, version, runs)
    ranked = sorted(found, key=_rank)
    _headline(fit, rule, runs, ranked)
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
        return "chance or time at risk" if found.p_adjusted > ALPHA else "not clear jointly"
    if found.visited_by < MIN_RUNS:
        at_all = sum(any(s.state == found.state for s in stays(run.path, PATIENCE)) for run in runs)
        if at_all >= MIN_RUNS and at_all > 2 * found.visited_by:
            return "after convergence"
        return "too few visitors" if at_all else "not visited"
    return "obligatory" if found.others == 0 else "hardly avoidable"


def _headline(fit: Fit, rule: Rule, runs: Sequence[Run], ranked: Sequence[Detour]) -> None:
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
                    *(
                        f"{state_name(each.state)}: visitors are {_told(each.delay, each.low, each.high)} "
                        f"steps later, adjusted p {significant(each.p_adjusted, 2)}, again in "
                        f"{each.stability:.0%} of {'refits' if _refits(fit) else 'resamples'}"
                        for each in ranked
                        if each.is_detour
                    ),
                    f"{len(times)} of {count(len(runs), 'run')} converge ({escaped(rule.words)}), at step "
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
        prepare(detour_delays.chart(drawn, fit.n_states)),
        "detours.delays",
        f"Delay of the visitors of {count(fit.n_states, 'state')} in steps, with intervals; {told}.",
        frame,
        provenance(
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
        prepare(convergence_curves.chart(curves, colour, height=240)),
        "detours.curves",
        f"Share of runs not yet converged: {each.visited_by} that visited {name.lower()} against "
        f"{each.others} others.",
        pd.concat([part.steps for part in curves], ignore_index=True),
        provenance(fit, "Kaplan-Meier, 95 % log-log interval", "Kaplan & Meier 1958", rule),
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
    refits = _refits(fit)
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
        f"Stability: share of {count(refits, 'refit')} to bootstrapped seeds in which the matched state is a "
        "detour again."
        if refits
        else "Stability: share of 1,000 bootstrap resamples of the runs in which the state is a detour again "
        "with the states held fixed. Stability under refits was not computed for this fit; fit again with "
        "refits."
    )
    st.caption(f"p: one-sided permutation, 4,999 draws. {stable}")
    with st.expander("Why each state is or is not a detour", key="detours.why", type="compact"):
        st.markdown("\n".join(f"- **{state_name(each.state)}**: {each.why}" for each in ranked))
        st.caption(
            "What the test cannot see: where a fit splits a long phase into an early and a late state, only "
            "runs that are slow in that phase reach the late one, and it looks like a detour."
        )


def _refits(fit: Fit) -> int:
    """Return on how many refits to bootstrapped seeds stability rests; 0 for none."""
    return int(fit.summary.get("refits", {}).get("count", 0))


def _told(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "–"
    value, low, high = (round(each, 6) + 0.0 for each in (value, low, high))  # what rounding left of 0 is 0
    return f"{significant(value)} {interval(low, high)}"
