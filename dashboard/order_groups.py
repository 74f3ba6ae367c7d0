"""Two arms that share no seed, compared as groups: a randomization test, rerandomized if the design was."""

import math

import pandas as pd
import streamlit as st

from dashboard import queries
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.order_effects import RISKS, Measured, Pairs
from dashboard.wording import count, escaped, message, p_value, significant
from data.errors import LabError
from data.store import Store
from engine.analysis.shuffling import LEAST_RATIO, UnpairedEffect
from engine.comparing import SHARE, Compared, compared, covariates


def apart(choice: Choice, pairs: Pairs) -> bool:
    """Whether two arms have runs but share no seed."""
    seeds = [{run.seed for run in choice.runs if run.arm == arm} for arm in (pairs.a, pairs.b)]
    return all(seeds) and not seeds[0] & seeds[1]


def show(lab: Lab, choice: Choice, pairs: Pairs, version: str, measured: Measured = RISKS) -> None:
    """Show the effect of one group against the other on both risks, or on what is measured."""
    study = choice.study.name
    st.info(
        f"{escaped(pairs.a)} and {escaped(pairs.b)} share no seed, so nothing pairs their runs: they are "
        "compared as two groups, which needs more of them. Train the same seeds in both arms for a "
        "paired comparison.",
        icon=":material/group:",
    )
    known = queries.metrics(lab.store, study)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        names = st.multiselect(
            "Balanced on", list(known), format_func=lambda name: known[name].label, key="shuffling.balanced",
            bind="query-params", placeholder="Nothing",
            help="Only for a design that was: metrics before the first step by which runs were given to the "
            "arms. The test then counts balanced assignments alone (Morgan & Rubin 2012).",
        )  # fmt: skip
        share = st.number_input(
            "Accepted share", 0.001, 1.0, 1.0, step=0.05, key="shuffling.acceptance", bind="query-params",
            width=160, disabled=not names,
            help="Share of all assignments, the most balanced ones, from which the design drew.",
        )  # fmt: skip
    for column, (name, title) in zip(st.columns(len(measured), gap="medium"), measured, strict=True):
        with column, st.container(border=True, key=f"shuffling.group.{name}"):
            try:
                found = _compared(
                    lab.store, version, study, name, pairs.a, pairs.b, tuple(names), float(share or 1.0)
                )
            except LabError as error:
                st.caption(message(f"{error.message} {error.remedy}"))
                continue
            _card(pairs, title, found)


def _card(pairs: Pairs, title: str, found: Compared) -> None:
    effect = found.effect
    if not isinstance(effect, UnpairedEffect):
        return
    st.metric(
        escaped(f"{title}, {pairs.a} / {pairs.b}"),
        f"× {significant(math.exp(effect.estimate))}",
        f"95 % interval {_interval(effect)}",
        delta_color="off",
        delta_arrow="off",
        help="Ratio of the geometric means; each run counts with the mean of the last tenth of its "
        "measurements. Interval: all constant shifts that the test does not reject.",
    )
    kind = "exact" if effect.exact else "sampled"
    st.markdown(
        f"**{p_value(effect.p)}** {kind} · n = {effect.n} runs · least p {significant(effect.minimum_p, 2)}",
        help=f"Randomization test over {count(effect.accepted, 'accepted assignment')} of {effect.draws:,} "
        "looked at, two-sided (Fisher 1935).",
    )
    if effect.minimum_p > 0.05:
        st.caption("So few runs cannot reach p = 0.05: train more in both arms.")
    elif effect.p <= 0.05 and abs(effect.estimate) >= math.log(LEAST_RATIO):
        st.caption(f":blue-badge[Separated] by the test and by at least {LEAST_RATIO - 1:.0%}.")
    else:
        st.caption(":gray-badge[Undecided] No difference is shown.")
    if found.left_out:
        st.caption(f"{count(found.left_out, 'run')} without a positive, finite end left out.")


def _interval(effect: UnpairedEffect) -> str:
    if not (math.isfinite(effect.low) and math.isfinite(effect.high)):
        return "without ends: so few runs rule out nothing"
    return f"{significant(math.exp(effect.low))} to {significant(math.exp(effect.high))}"


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _compared(
    store: Store, version: str, study: str, metric: str, a: str, b: str, names: tuple[str, ...], share: float
) -> Compared:
    ends = queries.last(store, version, study, (metric,), SHARE)
    known: pd.DataFrame | None = covariates(store, study, names) if names else None
    return compared(ends, a, b, metric, covariates=known, acceptance=share)
