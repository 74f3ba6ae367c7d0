"""What latent states a person asks for: read and checked against the store before anything is made."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args

from data.analyses import key_of
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from engine.version import code_version

WEIGHT_METRICS = (
    *("l1", "l2", "l1_over_l2", "trace", "spectral_norm", "trace_over_spectral_norm"),
    *("mean_singular_value", "var_singular_value"),
    *("mean_w", "median_w", "var_w", "mean_b", "median_b", "var_b"),
)
"""The 14 metrics of Hu et al. 2023, from which latent states are inferred unless asked otherwise."""

Normalize = Literal["per-run", "pooled", "log-pooled"]
Covariance = Literal["diag", "full", "tied"]
Topology = Literal["ergodic", "left-to-right"]
_MOST_STATES = 12
REFITS = 50
"""A share of 50 refits has a standard error of 7 % at most; on 40 runs of 1,000 rows they take about 20 s."""


@dataclass(frozen=True)
class FitRequest:
    """A fit of latent states that can be started.

    Attributes:
        study: a study in the store.
        arms: whose runs are fitted.
        metrics: what is observed of them.
        states: numbers of states to try.
        normalize: ``"per-run"``, ``"pooled"`` or ``"log-pooled"``.
        covariance: ``"diag"``, ``"full"`` or ``"tied"``.
        restarts: starts for every number of states.
        seed: of the starts and of the runs held out.
        topology: ``"ergodic"`` or ``"left-to-right"``.
        every: rows 0, n, 2n, ... of each run are used; None for the least n that leaves at most 1,000 rows.
        refits: bootstrap samples of the seeds to which the chosen number of states is fitted again.
    """

    study: str
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    states: tuple[int, ...]
    normalize: Normalize
    covariance: Covariance
    restarts: int
    seed: int
    topology: Topology
    every: int | None
    refits: int

    @property
    def spec(self) -> dict[str, Any]:
        """The job's specification, as ``engine.jobs.fit`` reads it."""
        return asdict(self)


def fit_request(
    store: Store,
    study: str,
    arms: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    states: Sequence[int] | None = None,
    normalize: str = "per-run",
    covariance: str = "diag",
    restarts: int = 10,
    seed: int = 0,
    topology: str = "ergodic",
    every: int | None = None,
    refits: int = REFITS,
) -> FitRequest:
    """Return the fit of a study's runs, with every default filled in.

    Args:
        store: where the study is.
        study: its name.
        arms: names of arms; all that have runs when None.
        metrics: names of metrics; the 14 of the weights when None, or all where a study has none of those.
        states: numbers of states to try; 1 to 8 when None.
        normalize: how metrics become comparable.
        covariance: shape of a state's covariance.
        restarts: starts for every number of states.
        seed: source of chance.
        topology: which transitions are allowed.
        every: how runs are thinned; to at most 1,000 rows when None.
        refits: bootstrap samples fitted again.

    Raises:
        LabError: no such study, arm or metric, no run to fit, or a number out of its range.
    """
    store.catalog.study(study)
    has_arms = list(dict.fromkeys(run.arm for run in store.catalog.runs(study, archived=True)))
    if not has_arms:
        raise LabError(
            "Nothing to fit",
            f"`{study}` has no runs in this store.",
            f"Train it: python -m engine train {study}.",
        )
    has_metrics = [row.name for row in store.catalog.metrics(study)]
    usual = [name for name in WEIGHT_METRICS if name in has_metrics] or has_metrics
    require_known("arm", arms or (), has_arms, study)
    require_known("metric", metrics or (), has_metrics, study)
    numbers = tuple(sorted(set(states))) if states else tuple(range(1, 9))
    for name, value, least, most in (
        ("states", numbers[0], 1, _MOST_STATES),
        ("states", numbers[-1], 1, _MOST_STATES),
        ("restarts", restarts, 1, 1000),
        ("seed", seed, 0, 2**32 - 1),
        ("every", 1 if every is None else every, 1, 10**6),
        ("refits", refits, 0, 1000),
    ):
        if not least <= value <= most:
            raise LabError(
                "Number out of range",
                f"`{name}` must be {least} to {most}; got {value}.",
                "Choose another one.",
            )
    for name, choice, choices in (
        ("normalize", normalize, get_args(Normalize)),
        ("covariance", covariance, get_args(Covariance)),
        ("topology", topology, get_args(Topology)),
    ):
        if choice not in choices:
            raise LabError(
                "Unknown choice", f"`{name}` cannot be {choice!r}.", f"Choose one of: {', '.join(choices)}."
            )
    return FitRequest(
        study,
        tuple(dict.fromkeys(arms or has_arms)),
        tuple(dict.fromkeys(metrics or usual)),
        numbers,
        cast(Normalize, normalize),
        cast(Covariance, covariance),
        restarts,
        seed,
        cast(Topology, topology),
        every,
        refits,
    )


def read_states(text: str) -> list[int]:
    """Return the numbers of states that ``K`` or ``A..B`` (both included) stands for.

    Raises:
        LabError: any other text, or an empty range.
    """
    parts = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text.strip())
    states = [] if parts is None else list(range(int(parts[1]), int(parts[2] or parts[1]) + 1))
    if not states:
        raise LabError(
            "States not understood", f"`--states` must be K or A..B; got {text!r}.", "For example 4, or 1..8."
        )
    return states


def stored(store: Store, wanted: FitRequest, data_version: str) -> AnalysisRow | None:
    """Return the result of this very fit where it is kept already."""
    key = key_of(wanted.study, "latent", wanted.spec, code_version(), data_version, wanted.seed)
    return next((row for row in store.catalog.analyses(wanted.study, "latent") if row.key == key), None)


def require_known(kind: str, asked: Sequence[str], known: Sequence[str], study: str) -> None:
    """Refuse names that a study does not have.

    Raises:
        LabError: the first of `asked` that is not in `known`.
    """
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise LabError(
            f"Unknown {kind}",
            f"`{study}` has no {kind} `{unknown[0]}`.",
            f"Choose from: {', '.join(known)}.",
        )
