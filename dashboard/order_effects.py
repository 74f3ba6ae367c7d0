"""Two arms on both risks, paired by seed: their effects, their curves and every seed, beside a control."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
import streamlit as st

from dashboard import claims, figure, queries
from dashboard.charts import paired_seeds, traces
from dashboard.controls import X_TITLES, Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, marked, prepare
from dashboard.wording import count, escaped, p_value, ratio_text, sentence, significant, spans
from data.store import Store
from data.traces import Axis
from engine.analysis.shuffling import Effect, Reading, differs, same, underpowered
from engine.version import code_version

Measured = Sequence[tuple[str, str]]
"""Metrics by name, each with its title."""
RISKS: Measured = ((claims.OWN, "Own-batch risk"), (claims.FULL, "Full-batch risk"))
BADGES = {
    "reversal": ("Separated: sign reversal", "violet"),
    "one direction": ("Separated: one direction", "blue"),
    "mixed": ("Separated: one risk only", "blue"),
    "same": ("Not separated", "gray"),
    "none": ("Undecided", "gray"),
    "unknown": ("No verdict yet", "gray"),
}
NO_CONTROL = "none"
LINE_POINTS = 3500


@dataclass(frozen=True)
class Pairs:
    """The arms that are compared, and those of the control."""

    a: str
    b: str
    control: tuple[str, str] | None

    @property
    def order(self) -> list[str]:
        """The arms from left to right, pair by pair."""
        return [self.a, self.b, *(self.control or ())]


def pick(choice: Choice) -> Pairs:
    """Ask which arms; the study's own comparisons are the defaults."""
    planned = {
        item["role"]: (item["a"], item["b"]) for item in reversed(choice.study.config.get("comparisons", []))
    }
    arms = list(choice.arms)
    usual = ("SS", "RR") if {"SS", "RR"} <= set(arms) else (arms[0], arms[1])
    first = planned.get("treatment") or _orders(choice) or usual
    with st.sidebar:
        a = st.selectbox("Arm A", arms, index=arms.index(first[0]), key="a", bind="query-params")
        others = [arm for arm in arms if arm != a]
        start = others.index(first[1]) if first[1] in others else 0
        b = st.selectbox(
            "Arm B", others, index=start, key="b", bind="query-params",
            help="Ratios are A over B: below 1, A ends lower.",
        )  # fmt: skip
        rest = [arm for arm in arms if arm not in (a, b)]
        options = {f"{c} / {d}": (c, d) for c in rest for d in rest if c != d}
        default = " / ".join(planned.get("control", ()))
        names = [*options, NO_CONTROL]
        control = st.selectbox(
            "Control", names, index=names.index(default) if default in options else len(names) - 1,
            key="control", bind="query-params", help="A pair that the claim expects not to differ.",
        )  # fmt: skip
    return Pairs(a, b, options.get(control))


def _orders(choice: Choice) -> tuple[str, str] | None:
    """Return the last arms of Single Shuffle and of Random Reshuffle that differ in nothing else."""
    arms = choice.study.config.get("arms", [])
    found = None
    for one in arms:
        for other in arms:
            alike = all(one.get(name) == other.get(name) for name in ("model", "training"))
            if alike and (one.get("ordering"), other.get("ordering")) == ("SS", "RR"):
                found = one["name"], other["name"]
    return found if found and set(found) <= set(choice.arms) else None


def show(lab: Lab, choice: Choice, pairs: Pairs, x: Axis, version: str, measured: Measured = RISKS) -> None:
    """Show how far the arms are apart on both risks, or on what is measured, over training and by seed."""
    study = choice.study.name
    for column, (name, title) in zip(st.columns(len(measured), gap="medium"), measured, strict=True):
        with column:
            found, beside = (
                queries.effect(lab.store, version, study, name, *pair) if pair else None
                for pair in ((pairs.a, pairs.b), pairs.control)
            )
            _card(pairs, title, found, beside)
    risks(lab, choice, (pairs.a, pairs.b), x, version, "", measured=measured)
    st.subheader(
        "Seed by seed",
        anchor=False,
        help="Each line joins the two arms of one seed: same initialization, same data. Level: "
        "mean of the last tenth.",
    )
    for column, (name, title) in zip(st.columns(len(measured), gap="medium"), measured, strict=True):
        with column:
            _seeds(lab, choice, pairs, name, title, version)
    if pairs.control:
        st.subheader("The control over training", anchor=False)
        risks(lab, choice, pairs.control, x, version, "control.", measured=measured)


def risks(
    lab: Lab,
    choice: Choice,
    pair: tuple[str, str],
    x: Axis,
    version: str,
    prefix: str,
    step: int | None = None,
    measured: Measured = RISKS,
) -> None:
    """Show both risks of two arms over training, side by side, with a rule at a step where one is given."""
    for column, (name, title) in zip(st.columns(len(measured), gap="medium"), measured, strict=True):
        with column:
            curves(lab, choice, pair, x, name, title, version, prefix, step)


def said(found: Reading, control: Reading | None) -> None:
    """Say whether the arms part ways, and whether the control does."""
    word, colour = BADGES[found.kind]
    with st.container(border=True, key="shuffling.verdict", gap="xsmall"):
        st.markdown(f":{colour}-badge[{word}] {found.sentence.removeprefix('Sign reversal: ')}")
        if control is not None:
            word, colour = BADGES[control.kind]
            st.markdown(f":small[Control: :{colour}-badge[{word}] {control.sentence}]")


def said_of_one(pairs: Pairs, title: str, effect: Effect | None) -> None:
    """Say whether the arms part ways on one metric."""
    a, b = escaped(pairs.a), escaped(pairs.b)
    kind, told = "none", f"It is not shown whether {a} and {b} differ in {escaped(title)}."
    if effect is None:
        kind, told = "unknown", f"{a} and {b} share fewer than two seeds in which both are positive."
    elif weak := underpowered(effect):
        kind, told = "unknown", weak
    elif differs(effect):
        side = "lower" if effect.estimate < 0 else "higher"
        kind, told = "one direction", f"{a} ends {side} than {b} in {escaped(title)}."
    elif same(effect):
        kind, told = "same", f"{a} and {b} end within 10 % of each other in {escaped(title)}."
    word, colour = BADGES[kind]
    with st.container(border=True, key="shuffling.verdict"):
        st.markdown(f":{colour}-badge[{word.partition(':')[0]}] {told}")


def claim(lab: Lab, choice: Choice, version: str) -> None:
    """Say what the study's own verdict is, whichever arms are chosen here."""
    states = lab.store.catalog.run_states(choice.study.name)
    found = queries.verdict(lab.store, version, choice.study, states)
    if found is not None:
        training = any(job.kind == "train" for job in queries.active_jobs(lab.store, choice.study.name))
        st.caption(
            f"{claims.badge(found, training)} The study's claim: {choice.study.claim}", help=found.sentence
        )


def _card(pairs: Pairs, title: str, effect: Effect | None, control: Effect | None) -> None:
    """Show the paired effect on one risk, with the control's under it."""
    with st.container(border=True, key=f"shuffling.card.{title}", gap="small"):
        if effect is None:
            st.metric(escaped(f"{title}, {pairs.a} / {pairs.b}"), "–")
            st.caption("Fewer than two seeds have both arms with a positive, finite end.")
            return
        interval = f"{effect.confidence:.0%} interval {_interval(effect)}"
        st.metric(
            escaped(f"{title}, {pairs.a} / {pairs.b}"),
            f"× {significant(math.exp(effect.estimate))}",
            interval,
            delta_color="off",
            delta_arrow="off",
            help="Geometric mean over seeds of A / B; each run counts with the mean of the last tenth of its "
            "measurements. Interval: BCa bootstrap over seeds, 10,000 resamples (Efron 1987).",
        )
        kind = "exact" if effect.exact else "sampled"
        st.markdown(
            f"**{p_value(effect.p)}** {kind} · n = {effect.n} pairs · least p "
            f"{significant(effect.minimum_p, 2)}",
            help=f"Randomization test: the share of {effect.draws:,} sign patterns whose mean log "
            f"ratio is at least as "
            "far from 0 as the one observed, two-sided (Fisher 1935). The least p is what this "
            "many pairs can attain.",
        )
        notes = [
            underpowered(effect),
            "; ".join(effect.dropped_why) and f"Left out: {'; '.join(effect.dropped_why)}",
        ]
        if any(notes):
            st.caption(sentence(note for note in notes if note))
        if pairs.control and control is not None:
            st.caption(
                f"Control {escaped(' / '.join(pairs.control))}: × {ratio_text(control)}, "
                f"{p_value(control.p)}, n = {control.n}"
            )


def _interval(effect: Effect) -> str:
    if not math.isfinite(effect.low):
        return "unknown"
    return f"{significant(math.exp(effect.low))} to {significant(math.exp(effect.high))}"


class _Curves(NamedTuple):
    """A figure of curves, the rows that it draws, and which of the measured points they are."""

    chart: Prepared
    rows: pd.DataFrame
    fidelity: str


@st.cache_data(max_entries=48, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _drawn_curves(
    store: Store,
    version: str,
    study: str,
    name: str,
    x: Axis,
    pair: tuple[str, str],
    arms: tuple[str, ...],
    points: int,
    axis: str,
) -> _Curves | None:
    """Return the curves of two arms, None where nothing has been measured."""
    thinned = queries.thin(store, version, study, name, x, pair, None, None, None, points, 1)
    if thinned.frame.empty:
        return None
    frame = queries.bands(store, version, study, name, x, pair, None, None)
    spread = frame.drop(columns=["low", "high"]).rename(
        columns={"median": "centre", "q05": "low", "q95": "high"}
    )
    spread = spread[["arm", "x", "centre", "low", "high", "n"]]
    kept = f"{thinned.shown:,} of {count(thinned.total, 'point')}, extremes kept"
    if thinned.shown == thinned.total:
        kept = f"all {count(thinned.total, 'point')}"
    chart = traces.chart(thinned.frame, spread, arms, X_TITLES[x], axis, True, 300)
    rows = pd.concat([thinned.frame.assign(what="seed"), spread.assign(what="arm")], ignore_index=True)
    return _Curves(prepare(chart), rows, kept)


def curves(
    lab: Lab,
    choice: Choice,
    pair: tuple[str, str],
    x: Axis,
    name: str,
    title: str,
    version: str,
    prefix: str,
    step: int | None = None,
) -> None:
    """Show a metric of two arms over training on a log axis, with a rule at a step where one is given."""
    study = choice.study.name
    runs = [run for run in choice.runs if run.arm in pair]
    points = max(LINE_POINTS // max(len(runs), 1), 16)
    axis = _titled(lab, choice, name, title)
    drawn = _drawn_curves(lab.store, version, study, name, x, pair, tuple(choice.arms), points, axis)
    if drawn is None:
        st.info(f"{escaped(title)} has not been measured yet.", icon=":material/hourglass_empty:")
        return
    at = None if step is None else place_of(drawn.rows, step)
    figure.show(
        drawn.chart if at is None else marked(drawn.chart, at),
        f"shuffling.{prefix}{name}",
        f"{title} of {pair[0]} and {pair[1]} over training on a log axis, seeds as thin lines.",
        drawn.rows,
        figure.Provenance(
            f"thin and bands of {name}, study {study}, arms {list(pair)}, x {x}",
            "line: median over seeds; band: 5 to 95 % of seeds; thin lines: seeds",
            code_version(),
            version,
            "Wu, Yun & Sra 2023",
        ),
        "",
        drawn.fidelity,
        narrow=True,
    )


def place_of(rows: pd.DataFrame, step: int) -> float | None:
    """Return where a step lies along x: the median over the rows measured nearest to it; None without any."""
    measured = rows.loc[rows["step"].notna() & rows["x"].notna(), ["step", "x"]].astype(float)
    if measured.empty:
        return None
    away = (measured["step"] - step).abs()
    return float(measured.loc[away == away.min(), "x"].median())


def _titled(lab: Lab, choice: Choice, name: str, title: str) -> str:
    """Return the title of an axis with the unit that this study's risks have."""
    unit = queries.metrics(lab.store, choice.study.name)[name].unit
    return f"{title} [{unit}]" if unit else title


@st.cache_data(
    max_entries=48,
    show_spinner=False,
    hash_funcs={**queries.BY_ROOT, Pairs: lambda pairs: (pairs.a, pairs.b, pairs.control)},
)
def _drawn_seeds(
    store: Store, version: str, study: str, name: str, pairs: Pairs, arms: tuple[str, ...], axis: str
) -> _Curves | None:
    """Return the seeds of the pairs, None where none has both arms."""
    levels = queries.last(store, version, study, (name,))
    parts = []
    for pair in [(pairs.a, pairs.b), *([pairs.control] if pairs.control else [])]:
        part = levels[levels["arm"].isin(pair)][["arm", "seed", "value"]]
        shared = part.groupby("seed")["arm"].nunique()
        parts.append(part[part["seed"].isin(shared[shared == 2].index)].assign(pair=" / ".join(pair)))
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        return None
    lost = frame[~((frame["value"] > 0) & (frame["value"] < math.inf))]
    left_out = (
        f"Not on a log axis, and left out: seeds {spans(lost['seed'].astype(int))}" if len(lost) else ""
    )
    drawn = frame.drop(lost.index)
    return _Curves(prepare(paired_seeds.chart(drawn, pairs.order, arms, axis)), drawn, left_out)


def _seeds(lab: Lab, choice: Choice, pairs: Pairs, name: str, title: str, version: str) -> None:
    axis, arms = _titled(lab, choice, name, title), tuple(choice.arms)
    drawn = _drawn_seeds(lab.store, version, choice.study.name, name, pairs, arms, axis)
    if drawn is None:
        st.caption("No seed has been trained in both arms.")
        return
    figure.show(
        drawn.chart,
        f"shuffling.seeds.{name}",
        f"{title} of each seed in {' and '.join(pairs.order)}, joined by seed.",
        drawn.rows,
        figure.Provenance(
            f"last tenth of {name}, study {choice.study.name}, arms {pairs.order}",
            "mean of the last tenth of each run's measurements",
            code_version(),
            version,
        ),
        sentence([drawn.fidelity]),
    )
