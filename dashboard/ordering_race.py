"""The race of the orderings: their errors after K epochs, or over epochs, beside the rates of theory."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure, queries
from dashboard.charts import ordering_race as charts
from dashboard.charts.palette import ARMS_LIGHT
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, prepare
from dashboard.race_groups import Entrant, entrants
from dashboard.race_rates import IN_K, SCALED, references, told
from dashboard.wording import coded, count, sentence
from data.errors import LabError
from data.rows import MetricRow
from data.store import Store
from engine.analysis.shuffling import level
from engine.studies import Study, studies
from engine.version import code_version

TAILS = {"excess_risk": "tail_excess_risk", "full_batch_risk": "tail_average_risk"}
"""What is measured at the tail average of the iterates, by the same of the last iterate."""
COMMAND = "python -m engine train orderings-quadratic"
SOURCE = "Safran & Shamir 2020, 2021; tail average: Rakhlin, Shamir & Sridharan 2012, Cha, Lee & Yun 2023"
AT_THE_END = (
    "geometric mean over seeds of the error at the end of each training, with the t interval of the mean "
    "log error; slope: least squares of the mean log error over K, with the t interval of the seeds' slopes; "
    "rate of theory: from the first point on, up to powers of ln(nK), n the steps of an epoch"
)
ON_THE_WAY = (
    "line: median over seeds; shade: 5 to 95 % of seeds; slope: least squares of the mean log error of "
    "finished runs over the last tenfold of epochs, with the t interval of the seeds' slopes; rate of "
    "theory: over the same epochs, from the first point on"
)
_LAST_POINT = 1e-9
_DECADE = 0.1

Runs = tuple[tuple[int, str, str], ...]
"""Run, arm and status of all that count."""


class Race(NamedTuple):
    """A race as it is shown.

    Attributes:
        chart: the figure.
        rows: what it draws.
        table: slopes and the rates of theory, a row an ordering and line.
        alt_text: the figure in words.
        formula: how the numbers were made.
        notes: sentences below the figure.
    """

    chart: Prepared
    rows: pd.DataFrame
    table: pd.DataFrame
    alt_text: str
    formula: str
    notes: tuple[str, ...]


class _Field(NamedTuple):
    """Who races over what: the entrants, columns of the traces by line, n by label, the metric, the runs."""

    racing: Sequence[Entrant]
    lines: Mapping[str, str]
    examples: dict[str, int | None]
    metric: MetricRow
    runs: Runs

    @property
    def done(self) -> set[int]:
        """The runs that came to their end: what a run has on its way, or before it diverged, is no end."""
        return {run for run, _, status in self.runs if status == "done"}

    @property
    def title(self) -> str:
        """The metric with its unit."""
        return f"{self.metric.label} [{self.metric.unit}]" if self.metric.unit else self.metric.label


def show(lab: Lab, choice: Choice, version: str) -> None:
    """Show how fast the error falls with each ordering of a study, whatever study it is."""
    study, shown = choice.study.name, choice.shown_arms
    racing = _shown(entrants(choice.study.config), shown)
    if len({(one.ordering, one.settings) for one in racing}) < 2:
        _teach(study)
        return
    metric = _pick(queries.metrics(lab.store, study))
    if metric is None:
        st.info(
            "This study has recorded no metric for a logarithmic axis, on which rates are slopes.",
            icon=":material/data_alert:",
        )
        return
    states = lab.store.catalog.run_states(study)
    runs = tuple((run.id, run.arm, run.status) for run in states if run.arm in shown)
    ended = hashlib.blake2b(repr(runs).encode()).hexdigest()  # a run may come to its end without a new row
    race = _race(lab.store, version, study, metric.name, shown, choice.arms, ended, runs)
    if race is None:
        st.info(
            f"No training has a positive {metric.label.lower()} to show yet.",
            icon=":material/hourglass_empty:",
        )
        return
    asked = f"{metric.name} and its tail average, study {study}, arms {list(shown)}"
    how = figure.Provenance(asked, race.formula, code_version(), version, SOURCE)
    figure.show(race.chart, "shuffling.race", race.alt_text, race.rows, how, sentence(race.notes))
    st.subheader("Measured rates and those of theory", anchor=False, help=f"{race.formula}.")
    there = race.table.columns[(race.table != "").any()]  # without the columns of theory where it has none
    st.dataframe(
        race.table[there],
        hide_index=True,
        height="content",
        column_config={
            name: st.column_config.TextColumn(width=width)
            for name, width in {"Ordering": 105, "Error of": 85, "n": 40, "Theory": 90, "Source": 190}.items()
        },
        key="shuffling.race_rates",
        alt="Slopes by ordering.",
    )


def _shown(racing: Sequence[Entrant], arms: Sequence[str]) -> list[Entrant]:
    return [one for one in racing if set(one.arms.values()) & set(arms)]


def _teach(study: str) -> None:
    racing = [name for name, one in studies().items() if len({arm.ordering for arm in one.arms}) > 1]
    with st.container(border=True, key="shuffling.race_empty"):
        st.subheader("Nothing races here", anchor=False)
        st.markdown(
            f"The arms of {coded(study)} have no two orderings. A race sets the errors of several orderings "
            "against the number of epochs on two logarithmic axes, where rates are slopes. These studies "
            f"race: {', '.join(f'`{name}`' for name in racing)}. The one made for it trains seven orderings "
            "for four numbers of epochs:"
        )
        st.code(COMMAND, language="bash")


def _pick(known: Mapping[str, MetricRow]) -> MetricRow | None:
    """Ask which of the positive metrics races; the tail average of one is drawn beside it."""
    beside = {tail for name, tail in TAILS.items() if name in known}
    names = [name for name, row in known.items() if row.log and name not in beside and "/" not in name]
    if not names:
        return None
    first = next((name for name in TAILS if name in names), names[0])
    labels = [known[name].label for name in names]
    label = st.selectbox(
        "Error", labels, index=names.index(first), key="shuffling.race_metric", bind="query-params",
        width=320, help="The metrics for a logarithmic axis. Theory has rates for the excess risk alone.",
    )  # fmt: skip
    return known[names[labels.index(label)]]


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _race(
    store: Store,
    version: str,
    study: str,
    metric: str,
    shown: tuple[str, ...],
    arms: tuple[str, ...],
    ended: str,
    _runs: Runs,
) -> Race | None:
    """Return the race of the shown arms; None where nothing can be drawn. `ended` stands for the runs."""
    config, known = store.catalog.study(study).config, queries.metrics(store, study)
    racing = _shown(entrants(config), shown)
    lines = {charts.MEASURED: metric}
    if TAILS.get(metric) in known:
        lines[charts.TAIL] = TAILS[metric]
    field = _Field(
        racing, lines, {one.label: _steps_an_epoch(config, one) for one in racing}, known[metric], _runs
    )
    if any(len(one.arms) > 1 for one in racing):
        return _over_budgets(store, study, field)
    return _over_epochs(store, version, study, field, arms)


def _steps_an_epoch(config: Mapping[str, object], one: Entrant) -> int | None:
    """Return n of the rates, as each step is on one component of the risk; None where the data are gone."""
    try:
        alone = Study.from_config(config).of(next(iter(one.arms.values())))
        return -(-alone.shape.train_rows // alone.batch)
    except LabError:  # for example the user's file of data: the race goes on without the rates of theory
        return None


def _over_budgets(store: Store, study: str, field: _Field) -> Race | None:
    """Return the race of trainings that were planned for several numbers of epochs: their ends over K."""
    ends = store.traces.last(study, list(field.lines.values()), share=_LAST_POINT)
    ends = ends[ends["run"].isin(field.done)]
    drawn, table = list[dict[str, object]](), list[dict[str, str]]()
    left_out = 0
    for one in field.racing:
        for line, name in field.lines.items():
            rows = ends[(ends["metric"] == name) & ends["arm"].isin(one.arms.values())]
            for epochs, arm in one.arms.items():
                found = level(rows.loc[rows["arm"] == arm, "value"].to_numpy(np.float64))
                left_out += found.left_out
                if found.n:
                    drawn.append(
                        {"label": one.label, "line": line, "x": float(epochs), "centre": found.centre,
                         "low": found.low, "high": found.high, "n": found.n}
                    )  # fmt: skip
            errors = rows.pivot(index="seed", columns="arm", values="value")
            errors = errors.reindex(columns=list(one.arms.values())).astype(np.float64)
            table.append(told(one, line, name, errors.to_numpy(), list(one.arms), field.examples[one.label]))
    if not drawn:
        return None
    frame = pd.DataFrame(drawn)
    theory = references(frame, field.racing, field.metric.name, field.examples, 0.0)
    labels, orderings = zip(*((one.label, one.ordering) for one in field.racing), strict=True)
    budgets = sorted({epochs for one in field.racing for epochs in one.arms})
    domain = charts.colours(labels, orderings)
    drawing = charts.chart(frame, theory, domain, "Epochs K, a training each", field.title, budgets)
    slopes = "; ".join(
        f"{row['Ordering']} {row[IN_K]}" for row in table if row["Error of"] == charts.MEASURED
    )
    notes = (
        *_diverged(field),
        f"{count(left_out, 'error')} without a logarithm left out" if left_out else "",
        _copies(frame),
    )
    told_in_words = f"{field.title} after K epochs by ordering, on two logarithmic axes. Slopes: {slopes}."
    rows = pd.concat([frame, theory], ignore_index=True)
    return Race(prepare(drawing), rows, pd.DataFrame(table), told_in_words, AT_THE_END, notes)


def _over_epochs(store: Store, version: str, study: str, field: _Field, arms: tuple[str, ...]) -> Race | None:
    """Return the race of one training an ordering: its error on the way, over epochs."""
    by_arm = {arm: one for one in field.racing for arm in one.arms.values()}
    parts, table, left_out = list[pd.DataFrame](), list[dict[str, str]](), 0
    for line, name in field.lines.items():
        spread = queries.bands(store, version, study, name, "epoch", tuple(by_arm), None, None)
        spread = spread[(spread["x"] > 0) & (spread["median"] > 0) & np.isfinite(spread["median"])]
        labels = [by_arm[arm].label for arm in spread["arm"]]
        spread = spread[["x", "median", "q05", "q95", "n"]].set_axis(
            ["x", "centre", "low", "high", "n"], axis=1
        )
        spread.loc[~(spread["low"] > 0), ["low", "high"]] = np.nan
        parts.append(spread.assign(label=labels, line=line))
        curves = [run for run in queries.matrices(store, version, study, name) if run.run in field.done]
        for arm, one in by_arm.items():
            seeds = {run.seed: pd.Series(run.values[:, 0], run.steps) for run in curves if run.arm == arm}
            errors = pd.DataFrame(seeds).sort_index()
            last = errors[(errors.index > 0) & (errors.index >= _DECADE * errors.index.max())]
            values = last.to_numpy(np.float64).T
            left_out += int((~(np.isfinite(values) & (values > 0))).sum())
            table.append(told(one, line, name, values, last.index.tolist(), None))
    frame = pd.concat(parts, ignore_index=True)
    if frame.empty:
        return None
    theory = references(frame, field.racing, field.metric.name, field.examples, _DECADE)
    # Arms keep the colours of the other figures as long as there are enough of them.
    domain = arms
    if len(arms) > len(ARMS_LIGHT):
        domain = tuple(
            charts.colours([one.label for one in field.racing], [one.ordering for one in field.racing])
        )
    notes = (
        *_diverged(field),
        f"{count(left_out, 'value')} without a logarithm left out of the slopes" if left_out else "",
        "Theory speaks of the end of trainings whose step size was chosen for K epochs: over the epochs of "
        "one training its rates are a guide to the eye"
        if len(theory)
        else "",
    )
    return Race(
        prepare(charts.chart(frame, theory, domain, "Epoch", field.title)),
        pd.concat([frame, theory], ignore_index=True),
        pd.DataFrame(table).drop(columns=SCALED).rename(columns={IN_K: "Slope in ln(epoch)"}),
        f"{field.title} over epochs by ordering, on two logarithmic axes.",
        ON_THE_WAY,
        notes,
    )


def _diverged(field: _Field) -> list[str]:
    """Say of every entrant how many of its runs diverged: no mean at an end contains them."""
    said = []
    for one in field.racing:
        mine = [status for _, arm, status in field.runs if arm in one.arms.values()]
        if lost := mine.count("diverged"):
            said.append(f"{lost} of {count(len(mine), 'run')} of {one.label} diverged and are in no slope")
    return said


def _copies(frame: pd.DataFrame) -> str:
    """Say whose seeds all end at the same error."""
    last = frame[frame["line"] == charts.MEASURED].groupby("label", sort=False)["n"]
    single = [str(label) for label, most in last.max().items() if most == 1]
    if not single:
        return ""
    return f"All seeds of {', '.join(single)} end at one error: n = 1, without an interval"
