"""What an intervention does to the phases: arms whose states were fitted jointly, side by side."""

import shlex
from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import convergence_curves, visit_shares
from dashboard.charts.palette import arm_colour, state_name
from dashboard.convergence import Rule, Run, provenance
from dashboard.fits import Fit
from dashboard.prepared import prepare
from dashboard.wording import count, escaped, interval, p_value, sentence, significant
from engine.analysis.detours.visits import stays
from engine.analysis.proportions import Share, ShareDifference, share, share_difference
from engine.analysis.restricted_difference import RestrictedDifference, restricted_difference
from engine.analysis.survival import log_rank

PATIENCE = 3


def compare(fit: Fit, rule: Rule, runs: Sequence[Run], study_arms: Sequence[str]) -> None:
    """Compare two arms of a fit; say how to fit several arms jointly where this one has a single arm.

    Args:
        fit: the analysis.
        rule: what counts as converged.
        runs: of all its arms.
        study_arms: every arm of the study, which fixes the colours.
    """
    st.subheader(
        "What an intervention changes",
        anchor=False,
        help="Arms of one study whose states were fitted jointly, so that state 2 is the same state in "
        "each of them.",
    )
    arms = [arm for arm in study_arms if any(run.arm == arm for run in runs)]
    if len(arms) < 2:
        _teach(fit, study_arms)
        return
    with st.container(horizontal=True, gap="medium"):
        a = st.selectbox("Arm A", arms, key="a", bind="query-params", width=240)
        others = [arm for arm in arms if arm != a]
        b = st.selectbox(
            "Arm B", others, key="b", bind="query-params", width=240, help="Differences are A less B."
        )
    if fit.summary["normalize"] == "per-run":
        st.caption(
            ":material/info: Each run was normalized over itself: a state is the same part of a run's own "
            "course in both arms, not the same level. Fit with pooled normalization to compare levels."
        )
    left, right = st.columns([5, 4], gap="large")
    with left:
        visits = _visits(fit, runs, arms, study_arms, (a, b))
    with right:
        _convergence(fit, rule, runs, study_arms, (a, b))
    _table(fit, visits, runs, (a, b))


def _teach(fit: Fit, study_arms: Sequence[str]) -> None:
    named = ",".join(study_arms)
    if len(study_arms) > 1:
        st.info(
            f"This analysis has the arm {escaped(fit.arms[0])} alone. Fit several arms jointly, with pooled "
            "normalization so that arms stay comparable, under Latent states or with the command below.",
            icon=":material/compare_arrows:",
        )
        command = ["python", "-m", "engine", "fit", fit.row.study, "--arms", named, "--normalize", "pooled"]
        st.code(shlex.join(command), language="bash")
    else:
        st.info(
            f"The study has one arm, {escaped(study_arms[0])}: nothing to compare it with. A study with an "
            "arm for each variant (with and without normalization, residual connections, another order), "
            "fitted jointly, shows here which states an intervention removes.",
            icon=":material/compare_arrows:",
        )


def _visited(fit: Fit, runs: Sequence[Run]) -> np.ndarray:
    """Return, for each run, which states it visits: at least 3 rows in a row, anywhere in the run."""
    visited = np.zeros((len(runs), fit.n_states), dtype=bool)
    for row, run in enumerate(runs):
        visited[row, [stay.state for stay in stays(run.path, PATIENCE)]] = True
    return visited


def _visits(
    fit: Fit, runs: Sequence[Run], arms: Sequence[str], study_arms: Sequence[str], pair: tuple[str, str]
) -> dict[str, list[Share]]:
    """Draw the share of each arm's runs that visit each state, and return it."""
    found = {}
    for arm in arms:
        visited = _visited(fit, [run for run in runs if run.arm == arm])
        found[arm] = [share(column) for column in visited.T]
    frame = pd.DataFrame(
        [
            {"state": state_name(state), "arm": arm, "happened": each.happened, "n": each.n,
             "share": each.estimate, "low": each.low, "high": each.high}
            for arm in arms for state, each in enumerate(found[arm])
        ]
    )  # fmt: skip
    figure.show(
        prepare(visit_shares.chart(frame, study_arms, arms, fit.n_states)),
        "detours.visits",
        f"Share of the runs of {', '.join(arms)} that visit each of {fit.n_states} states.",
        frame,
        provenance(
            fit, "runs with at least 3 rows in a row in the state, over runs; Wilson interval", "Wilson 1927"
        ),
        "n: " + ", ".join(f"{arm} {found[arm][0].n}" for arm in arms) + " runs; over whole runs.",
    )
    return found


def _convergence(
    fit: Fit, rule: Rule, runs: Sequence[Run], study_arms: Sequence[str], pair: tuple[str, str]
) -> None:
    both = [run for run in runs if run.arm in pair]
    times = np.array([run.time for run in both])
    observed = np.array([run.converged_at is not None for run in both])
    first = np.array([run.arm == pair[0] for run in both])
    curves = [
        convergence_curves.curve(times[side], observed[side], arm, "arm")
        for side, arm in ((first, pair[0]), (~first, pair[1]))
    ]
    test = log_rank(times, observed, first)
    delay = restricted_difference(times, observed, first)
    reached = [f"{int(observed[side].sum())} of {int(side.sum())}" for side in (first, ~first)]
    figure.show(
        prepare(convergence_curves.chart(curves, arm_colour(study_arms, pair, width=380), "arm", 260)),
        "detours.arms",
        f"Share of runs of {pair[0]} and {pair[1]} that have not converged yet.",
        pd.concat([part.steps for part in curves], ignore_index=True),
        provenance(
            fit,
            "Kaplan-Meier, 95 % log-log interval; log-rank, two-sided; difference of restricted means, "
            "bootstrap within arms",
            "Kaplan & Meier 1958; Mantel 1966; Royston & Parmar 2013",
            rule,
        ),
        sentence(
            [
                f"Converged: {pair[0]} {reached[0]}, {pair[1]} {reached[1]}",
                f"{pair[0]} {_later(delay)} (difference of restricted means)",
                f"Log-rank {p_value(test.p)}, n = {delay.n}, as if runs of one seed were independent"
                if test.variance > 0
                else "Log-rank: no time at which the arms could differ",
            ]
        ),
    )


def _later(delay: RestrictedDifference) -> str:
    """Return "later by 160 [85, 245] steps", or earlier."""
    if delay.estimate < 0:
        return f"earlier by {significant(-delay.estimate)} {interval(-delay.high, -delay.low)} steps"
    return f"later by {significant(delay.estimate)} {interval(delay.low, delay.high)} steps"


def _table(fit: Fit, found: dict[str, list[Share]], runs: Sequence[Run], pair: tuple[str, str]) -> None:
    """Show by how much each state's share differs, and say what disappears."""
    sides = [sorted((run for run in runs if run.arm == arm), key=lambda run: run.seed) for arm in pair]
    paired = [run.seed for run in sides[0]] == [run.seed for run in sides[1]]
    visited = [_visited(fit, side) for side in sides]
    rows = []
    for state in range(fit.n_states):
        a, b = (found[arm][state] for arm in pair)
        gap = share_difference(visited[0][:, state], visited[1][:, state], paired)
        rows.append(
            {
                "State": f"**{state}**",
                **{arm: _told(each) for arm, each in zip(pair, (a, b), strict=True)},
                "A − B, 95 % interval": f"{gap.estimate:+.0%} [{gap.low:+.0%}, {gap.high:+.0%}]".replace(
                    "-", "−"
                ),
                "Reading": reading(a, b, gap, pair),
            }
        )
    st.table(pd.DataFrame(rows), border="horizontal", hide_index=True)
    st.caption(
        f"Intervals: Wilson for a share, Newcombe for a difference "
        f"({'paired by seed' if paired else 'arms have different seeds, so unpaired'}), one state at a time: "
        f"among {count(fit.n_states, 'state')} one in twenty leaves 0 out by chance."
    )


def _told(each: Share) -> str:
    return f"{each.happened} of {each.n} [{each.low:.0%}, {each.high:.0%}]"


def reading(a: Share, b: Share, gap: ShareDifference, pair: tuple[str, str]) -> str:
    """Return what the shares of two arms say of a state, in words."""
    if not a.happened and not b.happened:
        return "in neither"
    clear = gap.low > 0 or gap.high < 0
    for one, other, where in ((a, b, pair[1]), (b, a, pair[0])):
        if one.happened and not other.happened:
            return f":orange-badge[gone in {where}]" if clear else f"not seen in {where}; chance not excluded"
    if clear:
        return f"more often in {pair[0] if gap.estimate > 0 else pair[1]}"
    return "no difference shown"
