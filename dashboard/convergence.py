"""When the runs of a fit converge, by a rule that the reader chooses, and which states make them late."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from dashboard import figure, fits, queries
from dashboard.fits import Fit
from dashboard.lab import Lab
from dashboard.wording import count
from data.rows import MetricRow, StudyRow
from data.traces import RunMatrix
from engine.analysis.detours import Detour, Direction, find, refits_of

PATIENCE = 3
ACCURACY = 0.9
SIGNS: dict[Direction, str] = {"above": "≥", "below": "≤"}


@dataclass(frozen=True)
class Rule:
    """A run has converged once a metric is beyond a threshold and stays for some measured points."""

    metric: MetricRow
    direction: Direction
    threshold: float
    patience: int

    @property
    def words(self) -> str:
        """The rule as text: "test accuracy ≥ 0.900 for 3 points"."""
        label = self.metric.label
        small = label if label[:2].isupper() else label[:1].lower() + label[1:]
        stays = f" for {count(self.patience, 'point')} in a row" if self.patience > 1 else ""
        return f"{small} {SIGNS[self.direction]} {self.threshold:g}{stays}"


@dataclass(frozen=True)
class Run:
    """One run of a fit: its path through the states, and when it converged (None: never).

    `position` is its place among the runs of the fit; `best` is the value nearest to convergence that it kept
    for the rule's patience; NaN without any.
    """

    position: int
    arm: str
    seed: int
    steps: np.ndarray
    path: np.ndarray
    confidence: np.ndarray
    converged_at: float | None
    best: float

    @property
    def name(self) -> str:
        """What the run is called in lists and in the address."""
        return f"{self.arm} · seed {self.seed}"

    @property
    def time(self) -> float:
        """Step of convergence, or how long the run was observed without it."""
        return float(self.steps[-1]) if self.converged_at is None else self.converged_at

    @property
    def before(self) -> np.ndarray:
        """The states of its rows before it converged."""
        return self.path if self.converged_at is None else self.path[self.steps < self.converged_at]

    @property
    def followed(self) -> np.ndarray:
        """Like `before`, and on to the first row after the stay in which it converged.

        Convergence often comes with a change of state: it must not cut off the stay that it ends.
        """
        rows = len(self.before)
        if not rows:
            return self.path[:0]
        left = np.flatnonzero(self.path[rows:] != self.path[rows - 1])
        return self.path[: rows + left[0] + 1] if len(left) else self.path


def default_metric(study: StudyRow, known: dict[str, MetricRow]) -> str:
    """Return the metric that a study most likely means by convergence.

    That is the one of its own stopping rule, then test accuracy, another accuracy, a loss or risk.
    """
    goals: list[str] = [*study.config.get("stop_above", {}), *study.config.get("stop_below", {})]
    accuracies = [name for name in known if "acc" in name.lower()]
    losses = [name for name in known if any(word in name.lower() for word in ("loss", "risk", "error"))]
    wanted: list[str] = [
        *goals,
        "test_accuracy",
        "validation_accuracy",
        *accuracies,
        "test_loss",
        *losses,
        *known,
    ]
    return next(name for name in wanted if name in known)


def default_rule(study: StudyRow, metric: MetricRow, levels: Sequence[RunMatrix]) -> Rule:
    """Return the rule to begin with.

    That is the study's own goal; 0.9 for an accuracy; else midway, on the metric's own axis, between where
    runs typically begin and the best they typically reach. A run that stops at its goal is not seen to stay
    there, so that a patience would let nothing converge.
    """
    for direction, name in (("above", "stop_above"), ("below", "stop_below")):
        goal = study.config.get(name, {}).get(metric.name)
        if goal is not None:
            return Rule(metric, "above" if direction == "above" else "below", float(goal), 1)
    if "acc" in metric.name.lower():
        return Rule(metric, "above", ACCURACY, PATIENCE)
    finite = [each.values[np.isfinite(each.values[:, 0]), 0] for each in levels]
    finite = [values for values in finite if len(values)]
    if not finite:
        return Rule(metric, "below" if metric.log else "above", 0.0, PATIENCE)
    first = float(np.median([values[0] for values in finite]))
    falls = metric.log or float(np.median([values[-1] for values in finite])) < first
    best = float(np.median([values.min() if falls else values.max() for values in finite]))
    middle = (first * best) ** 0.5 if metric.log and first > 0 and best > 0 else (first + best) / 2
    return Rule(metric, "below" if falls else "above", float(f"{middle:.2g}"), PATIENCE)


def rule_picker(lab: Lab, study: StudyRow, known: dict[str, MetricRow], version: str) -> Rule:
    """Ask when a run counts as converged; every part has a default and a place in the address.

    Direction, threshold and patience are asked anew for each metric: 0.9 means nothing to a loss.
    """
    labels = {row.label: row for row in known.values()}
    usual = known[default_metric(study, known)].label
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom", key="detours.rule"):
        label = st.selectbox(
            "Converged once", list(labels), index=list(labels).index(usual), width=240,
            key="detours.metric", bind="query-params",
            help="A run has converged at the first measured point from which this metric is beyond the "
            "threshold and stays there for the patience. Runs that never do are censored, not left out.",
        )  # fmt: skip
        metric = labels[label]
        begin = default_rule(study, metric, queries.matrices(lab.store, version, study.name, metric.name))
        direction = st.segmented_control(
            "is", list(SIGNS), default=begin.direction, format_func=lambda name: SIGNS[name], required=True,
            key=f"detours.{metric.name}.direction", bind="query-params",
            help="≥ for accuracies, ≤ for losses.",
        )  # fmt: skip
        threshold = st.number_input(
            "Threshold", value=begin.threshold, step=_stride(begin.threshold), format="%.6g", width=150,
            key=f"detours.{metric.name}.threshold", bind="query-params",
            help="Begins at the study's own goal, at 0.9 for an accuracy, else midway between where runs "
            "begin and the best they reach.",
        )  # fmt: skip
        patience = st.number_input(
            "for points", 1, 100, begin.patience, width=120,
            key=f"detours.{metric.name}.patience", bind="query-params",
            help="Patience: how many measured points in a row must be beyond the threshold, the first "
            "included.",
        )  # fmt: skip
    return Rule(metric, direction or begin.direction, float(threshold), int(patience))


def _stride(threshold: float) -> float:
    """Return a step for the threshold's buttons: one in its second digit."""
    return float(10.0 ** (np.floor(np.log10(abs(threshold))) - 1)) if threshold else 0.01


def follow(lab: Lab, fit: Fit, rule: Rule, version: str) -> list[Run]:
    """Return the runs of a fit with the step at which each converged, in the order of the fit.

    Runs without a row in the fit, and runs that are gone from the study, are left out.
    """
    study, metric = fit.row.study, rule.metric.name
    values = {each.run: each.values[:, 0] for each in queries.matrices(lab.store, version, study, metric)}
    reached = dict(
        queries.crossings(lab.store, version, study, metric, rule.threshold, rule.direction, rule.patience)
    )
    runs = []
    told = zip(fit.summary["runs"], fit.paths(), strict=True)
    for position, (names, (arm, seed, steps, path, confidence)) in enumerate(told):
        run = int(names["run"])
        if run in values and len(path):
            at = float(reached[run]) if run in reached else None
            best = _best(values[run], rule)
            runs.append(Run(position, arm, seed, steps, path, confidence, at, best))
    return runs


def _best(metric: np.ndarray, rule: Rule) -> float:
    """Return the strictest threshold that a run would have met for the patience; NaN if it never could."""
    if len(metric) < rule.patience:
        return float("nan")
    windows = np.lib.stride_tricks.sliding_window_view(metric, rule.patience)
    kept = windows.min(axis=1) if rule.direction == "above" else windows.max(axis=1)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return float("nan")
    return float(kept.max() if rule.direction == "above" else kept.min())


def detours(fit: Fit, rule: Rule, version: str, runs: Sequence[Run]) -> list[Detour]:
    """Return the verdict on every state for some runs of a fit, at least two; kept by what went in.

    Stability is over the refits that the fit has, else over resamples of the runs.
    """
    who = tuple((run.arm, run.seed) for run in runs)
    return _detours(
        fit.row.key, version, (rule.metric.name, rule.direction, rule.threshold, rule.patience), who,
        fit.n_states, runs, fit,
    )  # fmt: skip


def provenance(fit: Fit, formula: str, source: str, rule: Rule | None = None) -> figure.Provenance:
    """Return how a figure was made from a fit, and from a rule of convergence where one counts."""
    made = fits.provenance(fit, formula, source)
    return made if rule is None else replace(made, query=f"{made.query}; converged: {rule.words}")


@st.cache_data(max_entries=64, show_spinner=False)
def _detours(
    key: str,
    version: str,
    rule: tuple[str, str, float, int],
    who: tuple[tuple[str, int], ...],
    n_states: int,
    _runs: Sequence[Run],
    _fit: Fit,
) -> list[Detour]:
    return find(
        [run.path for run in _runs],
        [run.converged_at for run in _runs],
        n_states,
        steps=[run.steps for run in _runs],
        refits=refits_of(_fit.arrays, [run.position for run in _runs]),
    )
