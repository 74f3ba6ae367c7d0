"""Any metric of any runs over training, with honest bands."""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.alignment import SINCE, Event, event_picker
from dashboard.charts import edges, traces
from dashboard.charts.palette import MUTED, STATES
from dashboard.controls import X_TITLES, Choice, choose, metric_picker, x_picker
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.prepared import Prepared, prepare
from dashboard.wording import count, escaped, sentence, spans
from data.rows import MetricRow
from data.store import Store
from data.traces import Axis
from engine.analysis.t_interval import t_interval
from engine.version import code_version

TITLE = "Traces"
ICON = ":material/show_chart:"
QUESTION = "How did the runs go, and how far apart are they?"
ORDER = 30

BANDS = {
    "median": "Median, quantiles",
    "mean": "Mean, t interval",
    "none": "No band",
}
BAND_WORDS = {
    "median": "Line: median over seeds; dark band: 25 to 75 %, light band: 5 to 95 % of the arm's seeds",
    "mean": "Line: mean over seeds; band: 95 % interval of the mean by Student's t with n − 1 "
    "degrees of freedom",
    "none": "",
}
QUANTILES = {"median": "centre", "q05": "low", "q95": "high", "q25": "inner_low", "q75": "inner_high"}
POINTS_PER_CHART = 7000  # thinning keeps up to half as many again as it is asked for


@dataclass(frozen=True)
class _Look:
    """How the traces are drawn: what the controls of this view say."""

    metric: MetricRow
    x: Axis
    band: str
    seeds: bool
    log: bool
    window: int
    first: float | None
    last: float | None
    more: tuple[str, ...]
    event: Event | None

    @property
    def events(self) -> queries.Events:
        """Run and step of the event from which x is counted; None for x as measured."""
        return None if self.event is None else self.event.steps

    @property
    def x_title(self) -> str:
        """What the horizontal axis shows."""
        if self.event is None:
            return X_TITLES[self.x]
        return f"{SINCE[self.x]} since {self.event.words}"


def render(lab: Lab) -> None:
    """Ask what to draw, then draw it; while a job writes, the drawing follows."""
    choice = choose(lab.store)
    known = queries.metrics(lab.store, choice.study.name)
    metric = metric_picker(known)
    look = _controls(lab, choice, metric, x_picker(), known)
    live(lab, choice.study.name, lambda: _draw(lab, choice, look, known))


def _controls(lab: Lab, choice: Choice, metric: MetricRow, x: Axis, known: dict[str, MetricRow]) -> _Look:
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="traces.controls"):
        band = st.segmented_control(
            "Arms as", list(BANDS), format_func=lambda name: BANDS[name], default="median", required=True,
            key="traces.band", bind="query-params", help="A band is always over every run of its arm.",
        )  # fmt: skip
        scale = st.segmented_control(
            "Vertical axis", ["auto", "linear", "log"], default="auto", required=True,
            key="traces.scale", bind="query-params", help="auto: logarithmic where the metric spans decades.",
        )  # fmt: skip
        window = st.selectbox(
            "Smoothing", [1, 5, 15, 51, 151], width=130,
            format_func=lambda n: "none" if n == 1 else f"{n} points",
            key="traces.smoothing", bind="query-params",
            help="Centred moving mean of each seed's line over that many measured points, before "
            "points are left out.",
        )  # fmt: skip
        seeds = st.toggle("Seeds as lines", value=True, key="traces.seeds", bind="query-params")
    event = event_picker(lab, choice, known, x)
    if event is None:
        first, last = _range(choice, x)
    else:
        first, last = (None, None) if event.span is None else (-event.span, event.span)
    others = [row.label for row in known.values() if row.name != metric.name]
    with st.sidebar:
        more = st.multiselect(
            "Small multiples",
            others,
            key="traces.more",
            bind="query-params",
            placeholder="More metrics",
            max_selections=9,
        )
    named = {row.label: row.name for row in known.values()}
    log = scale == "log" or (scale == "auto" and metric.log)
    named_more = tuple(named[label] for label in more)
    return _Look(metric, x, band or "median", seeds, log, window, first, last, named_more, event)


def _range(choice: Choice, x: Axis) -> tuple[float | None, float | None]:
    """Ask which part of the horizontal axis is shown, in its own units; None for an end that is not cut."""
    steps = max((run.steps for run in choice.runs), default=0)
    epochs = int(choice.study.config.get("epochs", 0))
    # A clock that still runs has no end yet, and a slider whose end moves would lose its place.
    ended = [run.seconds or 0.0 for run in choice.runs if run.status not in queries.ACTIVE]
    seconds = math.ceil(max(ended, default=0.0)) if len(ended) == len(choice.runs) else 0
    end = {"step": steps, "epoch": epochs, "seconds": seconds}[x]
    if end <= 1:
        return None, None
    label = {"step": "Steps", "epoch": "Epochs", "seconds": "Seconds"}[x]
    low, high = st.slider(
        label, 0, end, (0, end), key=f"traces.{x}.range", bind="query-params",
        help="Zoom: what lies in the range is read again from the store at full resolution.",
    )  # fmt: skip
    return (float(low) if low > 0 else None), (float(high) if high < end else None)


class _Drawing(NamedTuple):
    """The figure, the rows that it draws, those of its bands, and what is to be said of its points."""

    chart: Prepared
    rows: pd.DataFrame
    spread: pd.DataFrame
    fidelity: str
    lost: str


def _draw(lab: Lab, choice: Choice, look: _Look, known: dict[str, MetricRow]) -> None:
    version = lab.store.traces.version(choice.study.name)
    if look.event is not None and not look.event.steps:
        st.info(f"No run has this event: {escaped(look.event.words)}.", icon=":material/event_busy:")
        return
    asked = (choice.study.name, choice.arms, choice.chosen_arms, choice.seeds, len(choice.shown_runs))
    drawing = _drawing(lab.store, version, *asked, replace(look, more=()))
    if drawing is None:
        st.info("Nothing has been measured in this range yet.", icon=":material/hourglass_empty:")
        return
    figure.show(
        drawing.chart,
        "traces.chart",
        f"{look.metric.label} against {look.x_title.lower()} for {', '.join(choice.shown_arms)}.",
        drawing.rows,
        _how(choice, look, version),
        sentence(
            [
                BAND_WORDS[look.band],
                _event_said(choice, look.event),
                *_seeds_said(choice, drawing.spread),
                drawing.lost,
                _smoothing_said(look),
            ]
        ),
        drawing.fidelity,
    )
    _multiples(lab.store, choice, look, known, version)


@st.cache_data(max_entries=48, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _drawing(
    store: Store,
    version: str,
    study: str,
    arms: tuple[str, ...],
    chosen: queries.Names,
    seeds: queries.Seeds,
    runs: int,
    look: _Look,
) -> _Drawing | None:
    """Return what is drawn of `runs` runs, made once for the same data; None where nothing is measured."""
    points = max(16, min(1000, POINTS_PER_CHART // max(runs, 1)))
    thinned = queries.thin(
        store, version, study, look.metric.name, look.x, chosen, seeds, look.first, look.last, points,
        look.window, look.events,
    )  # fmt: skip
    spread = _bands(store, version, study, chosen, look, look.metric)
    if thinned.frame.empty and spread.empty:
        return None
    lines = thinned.frame if look.seeds else thinned.frame.iloc[:0]
    unit = f" [{look.metric.unit}]" if look.metric.unit else ""
    chart = traces.chart(
        lines, spread, arms, look.x_title, f"{look.metric.label}{unit}", look.log, event=_mark(look.event)
    )
    kept = f"all {count(thinned.total, 'point')}"
    if thinned.shown < thinned.total:
        kept = f"{thinned.shown:,} of {count(thinned.total, 'point')}, extremes kept"
    fidelity = kept if look.seeds else ""
    return _Drawing(prepare(chart), _drawn(lines, spread), spread, fidelity, _edges_said(lines, look.log))


def _mark(event: Event | None) -> str | None:
    """Return the colour of the rule at the event: that of the state entered, where it is one."""
    if event is None:
        return None
    return MUTED if event.state is None else STATES[event.state % len(STATES)]


def _event_said(choice: Choice, event: Event | None) -> str:
    """Say how many runs of each arm have the event: the others are in no line and no band."""
    if event is None:
        return ""
    having = {run for run, _ in event.steps}
    told = []
    for arm in choice.shown_arms:
        runs = [run for run in choice.runs if run.arm == arm]
        told.append(f"{arm} {sum(run.id in having for run in runs)} of {len(runs)}")
    having_it = f"Runs that have it, at its first time in each: {', '.join(told)}; the others are left out"
    return f"0 is {event.words}. {having_it}. Bands only where at least half of them are measured"


def _bands(
    store: Store, version: str, study: str, chosen: queries.Names, look: _Look, metric: MetricRow
) -> pd.DataFrame:
    """Return the chosen kind of band: arm, x, centre, low, high, n and perhaps inner_low, inner_high."""
    if look.band == "none":
        return pd.DataFrame()
    frame = queries.bands(
        store, version, study, metric.name, look.x, chosen, look.first, look.last, look.events
    )
    if look.event is not None:  # where few runs are left, a middle would jump as they come and go
        most = frame.groupby("arm")["n"].transform("max")
        frame = frame[frame["n"] >= most / 2].reset_index(drop=True)
    if look.band == "mean":
        ends = t_interval(
            frame["mean"].to_numpy(float), frame["sd"].fillna(0).to_numpy(float), frame["n"].to_numpy(float)
        )
        named = frame.assign(centre=frame["mean"], low=ends.low, high=ends.high)
        return named[["arm", "x", "centre", "low", "high", "n"]]
    renamed = frame.drop(columns=["low", "high"]).rename(columns=QUANTILES)
    return renamed[["arm", "x", "centre", "low", "high", "inner_low", "inner_high", "n"]]


def _drawn(lines: pd.DataFrame, spread: pd.DataFrame) -> pd.DataFrame:
    """Return what the chart draws as one table: the lines' points and the bands'."""
    parts = [part.assign(what=what) for part, what in ((lines, "seed"), (spread, "arm")) if len(part)]
    return pd.concat([part.astype({"arm": object}) for part in parts], ignore_index=True)


def _seeds_said(choice: Choice, spread: pd.DataFrame) -> list[str]:
    """Say how many seeds stand behind each band and which of them dropped out."""
    if spread.empty:
        return []
    said = []
    counts = {arm: spread.loc[spread["arm"] == arm, "n"].to_numpy(int) for arm in choice.shown_arms}
    counts = {arm: n for arm, n in counts.items() if len(n)}
    if len({int(n) for values in counts.values() for n in values}) == 1:
        said.append(f"n = {next(iter(counts.values()))[0]} seeds in each arm at every step")
    else:
        ranges = [
            f"{arm} {n.max()}" if n.min() == n.max() else f"{arm} {n.min()} to {n.max()}"
            for arm, n in counts.items()
        ]
        said.append(f"Seeds behind the bands: {', '.join(ranges)}")
    for arm in choice.shown_arms:
        gone = [run.seed for run in choice.runs if run.arm == arm and run.status == "diverged"]
        if gone:
            said.append(f"{arm}: {count(len(gone), 'seed')} diverged and dropped out ({spans(gone)})")
        met = [run.seed for run in choice.runs if run.arm == arm and run.converged_at is not None]
        if met:
            said.append(
                f"{arm}: {count(len(met), 'seed')} reached the study's goal and stopped ({spans(met)})"
            )
    return said


def _edges_said(lines: pd.DataFrame, log: bool) -> str:
    lost = edges.split(lines, log).edges if len(lines) else lines
    if not len(lost):
        return ""
    counted = lost.groupby("kind")["count"].sum()
    values = ", ".join(f"{int(counted[kind]):,} {kind}" for kind in edges.KINDS if kind in counted)
    return f"Marks at the edge stand for points without a place on this axis; among those drawn: {values}"


def _smoothing_said(look: _Look) -> str:
    if look.window == 1 or not look.seeds:
        return ""
    return f"Seeds' lines are moving means over {look.window} measured points; bands are not smoothed"


def _how(choice: Choice, look: _Look, version: str) -> figure.Provenance:
    span = f"{look.x} {look.first or 0:g} to {'the end' if look.last is None else f'{look.last:g}'}"
    query = (
        f"thin(study={choice.study.name}, metric={look.metric.name}, x={look.x}, "
        f"arms={list(choice.shown_arms)}, "
        f"seeds={spans(choice.seeds) if choice.seeds else 'all'}, {span}, window={look.window}); "
        f"bands(…, all seeds)"
    )
    if look.event is not None:
        query = f"{query}; x counted from {look.event.words} ({look.event.how})"
    formula = sentence([look.metric.formula, BAND_WORDS[look.band]])
    return figure.Provenance(query, formula, code_version(), version, look.metric.source)


def _multiples(store: Store, choice: Choice, look: _Look, known: dict[str, MetricRow], version: str) -> None:
    """Draw more metrics as small bands beside each other."""
    shown = [known[name] for name in look.more if name in known]
    if not shown:
        return
    with st.grid(3, min_column_width=260, gap="medium"):
        for metric in shown:
            with st.container():
                asked = (store, version, choice.study.name, choice.chosen_arms)
                spread = _bands(*asked, look, metric)
                if spread.empty:
                    spread = _bands(*asked, replace(look, band="median"), metric)
                st.markdown(f"**{escaped(metric.label)}**")
                chart = traces.chart(
                    _no_lines(),
                    spread,
                    choice.arms,
                    look.x_title,
                    metric.unit,
                    metric.log,
                    190,
                    False,
                    event=_mark(look.event),
                )
                st.vega_lite_chart(
                    prepare(chart).drawn,
                    width="stretch",
                    key=f"traces.more.{metric.name}",
                    alt=f"{metric.label} against {look.x_title.lower()}, bands over the seeds of each arm.",
                )  # fmt: skip


def _no_lines() -> pd.DataFrame:
    empty = {name: pd.Series(dtype=np.float64) for name in ("seed", "run", "x", "value")}
    return pd.DataFrame({"arm": pd.Series(dtype=object), **empty, "kind": pd.Series(dtype=object)})
