"""Stored fits of latent states, as the views need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import dwell, ribbons
from dashboard.charts.palette import state_name
from dashboard.wording import count
from data import analyses
from data.rows import AnalysisRow, MetricRow
from data.store import Store
from engine.analysis.detours import dwells
from engine.analysis.median_interval import median_interval

_BY_ROOT: dict[str | type, Any] = {Store: lambda store: str(store.root)}
NORMALIZE_WORDS = {
    "per-run": "each run's z-scores over its own length",
    "pooled": "z-scores pooled over the training runs",
    "log-pooled": "logarithms, then pooled z-scores",
    "none": "the numbers as they came",
}
MOST_STRETCHES = 6000
"""Stretches of one figure beyond which those too short to be seen are drawn together."""
Pair = tuple[int | None, int]
"""A change of state: the state left (None for any) and the state entered."""


class Stretches(NamedTuple):
    """Ribbons of runs.

    Attributes:
        frame: arm, seed, start, end, state, confidence, row.
        cell: steps that are told as one, where points by themselves would be too many; None where not.
    """

    frame: pd.DataFrame
    cell: int | None


CERTAIN = 1e-6
"""Derivatives of d ln p / dz, per unit of z, below which the entered state is certain."""


def is_certain(attribution: pd.DataFrame) -> bool:
    """Whether no metric of a transition moves the probability of the new state: see `Fit.attribution`."""
    return bool(attribution["strength"].max() < CERTAIN)


@dataclass(frozen=True)
class Fit:
    """One stored fit: its summary and arrays."""

    row: AnalysisRow
    arrays: dict[str, np.ndarray]

    @property
    def summary(self) -> dict[str, Any]:
        """What the fit recorded about itself."""
        return self.row.summary

    @property
    def n_states(self) -> int:
        """The number of states that was chosen."""
        return int(self.summary["n_states"])

    @property
    def arms(self) -> list[str]:
        """The arms whose runs were fitted."""
        return list(self.summary["arms"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each number of states tried."""
        return pd.DataFrame(self.summary["table"])

    @cached_property
    def restarts(self) -> pd.DataFrame:
        """One row for each restart: n_states, shortfall from the best, in nats per observation."""
        rows = []
        for tried in self.summary["table"]:
            reached = [value for value in tried["restart_logliks"] if value is not None]
            rows += [{"n_states": tried["n_states"], "shortfall": max(reached) - value} for value in reached]
        return pd.DataFrame(rows, columns=["n_states", "shortfall"])

    def stretches(self, arm: str, seeds: tuple[int, ...] | None, most: int = MOST_STRETCHES) -> Stretches:
        """Return the ribbons of an arm; where they would be too many, states are told per cell of steps."""
        told = [
            (steps, path, confidence, arm, seed)
            for run_arm, seed, steps, path, confidence in self.paths()
            if run_arm == arm and (seeds is None or seed in seeds)
        ]
        cell = None
        frame = ribbons.stretches_of(told)
        if len(frame) > most:
            longest = max(int(steps[-1] - steps[0]) for steps, *_ in told if len(steps))
            cell = max(longest * len(told) // most, 1)
            frame = ribbons.stretches_of(told, cell=cell)
        return Stretches(frame.assign(row=frame["seed"].map(lambda seed: f"{int(seed)}")), cell)

    def visits(self, arms: tuple[str, ...]) -> pd.DataFrame:
        """Return every visit of every run of these arms: state, steps, censored, arm, seed."""
        return dwell.visits(
            [(steps, path, arm, seed) for arm, seed, steps, path, _ in self.paths() if arm in arms]
        )

    def paths(self) -> list[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
        """Return arm, seed, steps, states and their posterior probability, run by run."""
        return self._paths

    @cached_property
    def _paths(self) -> list[tuple[str, int, np.ndarray, np.ndarray, np.ndarray]]:
        offsets, path, posterior = (
            self.arrays["offsets"],
            self.arrays["path"].astype(int),
            self.arrays["posterior"],
        )
        confidence = posterior[np.arange(len(path)), path]
        return [
            (str(run["arm"]), int(run["seed"]), self.arrays["steps"][a:b], path[a:b], confidence[a:b])
            for run, a, b in zip(self.summary["runs"], offsets[:-1], offsets[1:], strict=True)
        ]

    @cached_property
    def _firsts(self) -> dict[Pair, dict[int, int]]:
        """Return, for each change of state, the step of its first time in each run that has it, by run."""
        found: dict[Pair, dict[int, int]] = {}
        for told, (_, _, steps, path, _) in zip(self.summary["runs"], self.paths(), strict=True):
            run = int(told["run"])
            rows = np.flatnonzero(np.diff(path)) + 1
            for source, target, step in zip(
                path[rows - 1].tolist(), path[rows].tolist(), steps[rows].tolist(), strict=True
            ):
                for pair in ((source, target), (None, target)):
                    found.setdefault(pair, {}).setdefault(run, step)
        return found

    @cached_property
    def moves(self) -> pd.DataFrame:
        """Return one row for each kind of transition on the paths, the most frequent first.

        source, target, count, runs, share with low and high (of the departures from source, with its Jeffreys
        interval), and median with first and last (steps of the first time in each run, with the interval of
        the median; NaN ends where fewer than six runs have it).
        """
        rows = []
        for told in self.summary.get("transitions", []):
            firsts = self.moments(told["source"], told["target"])
            when = median_interval(np.array(list(firsts.values()), dtype=float))
            rows.append(
                {
                    "source": told["source"], "target": told["target"], "count": told["count"],
                    "runs": len(firsts), "share": told["share"], "low": told["interval"][0],
                    "high": told["interval"][1], "median": when.value, "first": when.low, "last": when.high,
                }
            )  # fmt: skip
        columns = ["source", "target", "count", "runs", "share", "low", "high", "median", "first", "last"]
        return pd.DataFrame(rows, columns=columns)

    def attribution(self, source: int, target: int) -> pd.DataFrame:
        """Return what each metric has to do with a transition: metric, gradient, strength, difference.

        The metric that counts most comes first: by strength, and by the difference of the means where the new
        state is so certain that no metric moves its probability, which leaves only rounding in the strengths.
        """
        told = next(t for t in self.summary["transitions"] if (t["source"], t["target"]) == (source, target))
        frame = pd.DataFrame(
            {
                "metric": self.summary["metrics"],
                **{name: told[name] for name in ("gradient", "strength", "difference")},
            }
        )
        size = frame["difference"].abs() if is_certain(frame) else frame["strength"]
        return frame.loc[size.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)

    @cached_property
    def steps_per_row(self) -> float:
        """Return the typical distance of two rows that follow one another, in steps."""
        gaps = [np.diff(steps) for _, _, steps, _, _ in self.paths() if len(steps) > 1]
        return float(np.median(np.concatenate(gaps))) if gaps else 1.0

    def dwells(self, arms: tuple[str, ...]) -> pd.DataFrame:
        """Return how long each state lasts, in steps: state, stays, left, mean, low, high."""
        found = dwells([path for arm, _, _, path, _ in self.paths() if arm in arms], self.n_states)
        frame = pd.DataFrame([each._asdict() for each in found])
        frame[["mean", "low", "high"]] *= self.steps_per_row
        return frame.assign(state=[state_name(state) for state in range(self.n_states)])

    def changes(self) -> list[Pair]:
        """Return the changes of state on the paths: into each state, then those of most runs first."""
        pairs = [pair for pair in self._firsts if pair[0] is not None]
        pairs.sort(key=lambda pair: (-len(self._firsts[pair]), pair))
        return [*((None, target) for target in sorted({target for _, target in pairs})), *pairs]

    def moments(self, source: int | None, target: int) -> dict[int, int]:
        """Return the first step at which each run enters a state (from another one): by run."""
        return self._firsts.get((source, target), {})


def provenance(fit: Fit, formula: str, source: str = "") -> figure.Provenance:
    """Return how a figure of a fit was computed."""
    query = f"analysis {fit.row.id} of {fit.row.study}, key {fit.row.key}"
    return figure.Provenance(query, formula, fit.row.code_version, fit.row.data_version, source)


def called(known: dict[str, MetricRow], name: str) -> str:
    """Return what a metric is called; its name where the study does not describe it."""
    return known[name].label if name in known else name


def move_name(source: int | None, target: int) -> str:
    """Return what a change of state is called: "State 0 to State 1", "Entry into State 1"."""
    if source is None:
        return f"Entry into {state_name(target)}"
    return f"{state_name(source)} to {state_name(target)}"


def load(store: Store, row: AnalysisRow) -> Fit:
    """Return a stored fit; its arrays are kept in memory by the key that names them."""
    return Fit(row, _arrays(store, row.key, row))


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=_BY_ROOT)
def _arrays(store: Store, key: str, _row: AnalysisRow) -> dict[str, np.ndarray]:
    return analyses.load(store, _row)


def label(row: AnalysisRow) -> str:
    """Return what an analysis is called in a list and in an address: it never changes."""
    summary = row.summary
    name = f"#{row.id} · {count(summary['n_states'], 'state')} · {count(len(summary['metrics']), 'metric')}"
    every = f" · every {summary['every']}" if summary.get("every", 1) > 1 else ""
    origin = f" · from {summary['origin']}" if "origin" in summary else ""
    return f"{name} · {', '.join(summary['arms'])} · {summary['normalize']}{every}{origin}"


def analysis_picker(
    rows: Sequence[AnalysisRow], key: str, width: int | Literal["stretch"] = "stretch"
) -> AnalysisRow:
    """Ask which of some analyses, at least one, is shown; the newest to begin with.

    The address names it also then: a link must not show another one once a newer one is there.
    """
    named = labelled(rows)
    if key not in st.query_params and st.session_state.get(key) not in named:
        st.session_state[key] = next(iter(named))
    picked = st.selectbox("Analysis", list(named), index=None, key=key, bind="query-params", width=width)
    return named[picked] if picked in named else rows[0]


def labelled(rows: Sequence[AnalysisRow]) -> dict[str, AnalysisRow]:
    """Return analyses by what they are called, in the given order."""
    return {label(row): row for row in rows}
