"""`compare`: the paired effect of two arms, seed by seed, and whether their risks diverge."""

import math
from argparse import ArgumentParser, Namespace
from typing import Any

import numpy as np

from data.errors import LabError
from data.store import Store
from engine.analysis.shuffling import (
    LEAST_RATIO,
    Divergence,
    Effect,
    UnpairedEffect,
    differs,
    read,
    same,
    underpowered,
)
from engine.analysis.shuffling.effects import Statistic
from engine.analysis.survival import log_rank
from engine.cli.command import Command, Outcome, names, open_lab
from engine.cli.table import table
from engine.comparing import FULL, OWN, SHARE, compared, covariates, trend

_ALPHA = 0.05


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="a study in the store")
    parser.add_argument(
        "--arms",
        metavar="A,B",
        type=names,
        help="the two arms; by default, the comparisons that the study names",
    )
    parser.add_argument(
        "--metric", metavar="M,N", type=names, help=f"what to compare (default: {OWN},{FULL})"
    )
    parser.add_argument(
        "--difference", action="store_true", help="compare a - b, for metrics that are not positive"
    )
    parser.add_argument(
        "--covariates",
        metavar="M,N",
        type=names,
        help="for arms that share no seed: metrics before the first step that the arms were balanced on",
    )
    parser.add_argument(
        "--acceptance",
        type=float,
        default=1.0,
        metavar="Q",
        help="share of the assignments that the balance accepted, the most balanced ones (default: 1)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the bootstrap and of random sign flips (default: 0)"
    )


def _run(arguments: Namespace) -> Outcome:
    if arguments.seed < 0:
        raise LabError(
            "Seed out of range", f"`--seed` must be at least 0; got {arguments.seed}.", "Choose another."
        )
    store = open_lab(arguments)
    study, version = arguments.study, store.traces.version(arguments.study)
    pairs = _pairs(store, study, arguments.arms)
    arms = list(dict.fromkeys(arm for a, b, _, _ in pairs for arm in (a, b)))
    metrics = arguments.metric or [OWN, FULL]
    known = store.traces.metrics(study)
    if unknown := [metric for metric in metrics if metric not in known]:
        raise LabError(
            "Not measured",
            f"`{study}` has no `{unknown[0]}`.",
            f"Name with --metric what it has: {', '.join(known) or 'nothing yet'}.",
        )
    ends = store.traces.last(study, metrics, share=SHARE)
    if missing := [arm for arm in arms if arm not in set(ends["arm"])]:
        raise LabError(
            "Nothing to compare",
            f"`{study}` has no measured runs of {', '.join(missing)} in this store.",
            f"Train them: python -m engine train {study}.",
        )
    if not 0 < arguments.acceptance <= 1:
        raise LabError(
            "Acceptance out of range",
            f"`--acceptance` must be above 0 and at most 1; got {arguments.acceptance:g}.",
            "For example 0.1: the tenth of the assignments that is most balanced.",
        )
    balanced = covariates(store, study, arguments.covariates) if arguments.covariates else None
    statistic: Statistic = "difference" if arguments.difference else "log ratio"
    effects, readings = [], []
    for a, b, role, least in pairs:
        found = {
            metric: compared(ends, a, b, metric, statistic, arguments.seed, balanced, arguments.acceptance)
            for metric in metrics
        }
        for metric, one in found.items():
            told = _told(one.effect, least, one.left_out, one.medians)
            effects.append({"a": a, "b": b, "role": role, "metric": metric, "least_ratio": least, **told})
        own, full = (found[risk].effect if risk in found else None for risk in (OWN, FULL))
        if statistic == "log ratio" and isinstance(own, Effect) and isinstance(full, Effect):
            said = read(a, b, own, full, least)
            readings.append(
                {
                    "a": a, "b": b, "role": role, "kind": said.kind, "separated": said.separated,
                    "sentence": said.sentence,
                }
            )  # fmt: skip
    risks = {OWN, FULL} <= set(known) and {OWN, FULL} & set(metrics)
    diverging = dict[str, Divergence]()
    for arm in arms if risks else ():
        over = trend(store, study, arm)
        if over is not None:
            diverging[arm] = over.divergence
    data = {
        "study": study,
        "share": SHARE,
        "data_version": version,
        "effects": effects,
        "readings": readings,
        "divergence": [_described(arm, found) for arm, found in diverging.items()],
        "times_to_divergence": [_later(a, b, diverging) for a, b, *_ in pairs if {a, b} <= set(diverging)],
    }
    return Outcome(_text(data), data)


def _pairs(store: Store, study: str, arms: list[str] | None) -> list[tuple[str, str, str, float]]:
    """Return the arms to compare, in which role, and the ratio from which on a difference counts."""
    config = store.catalog.study(study).config
    known = [arm["name"] for arm in config.get("arms", [])]
    known = known or sorted({run.arm for run in store.catalog.runs(study, archived=True)})
    planned = [
        (one["a"], one["b"], one["role"], float(one.get("least_ratio") or LEAST_RATIO))
        for one in config.get("comparisons", [])
    ]
    if arms is None:
        if not planned:
            raise LabError(
                "Which arms?",
                f"`{study}` names no comparison of its own.",
                f"Give two: --arms {','.join(known[:2])}.",
            )
        return planned
    unknown = [arm for arm in arms if arm not in known]
    if unknown or len(arms) != 2 or arms[0] == arms[1]:
        raise LabError(
            "Two arms are compared",
            f"`--arms` must name two different arms of `{study}`; got {','.join(arms)!r}.",
            f"Its arms: {', '.join(known)}.",
        )
    least = next((ratio for a, b, _, ratio in planned if {a, b} == set(arms)), LEAST_RATIO)
    return [(arms[0], arms[1], "asked", least)]


def _told(
    effect: Effect | UnpairedEffect, least: float, out: int, medians: tuple[float, float]
) -> dict[str, Any]:
    ratio = effect.statistic == "log ratio"
    shown = math.exp if ratio else float
    told = {
        "statistic": effect.statistic,
        "paired": isinstance(effect, Effect),
        "ratio": _finite(math.exp(effect.estimate)) if ratio else None,
        "log_ratio": effect.estimate if ratio else None,
        "difference": None if ratio else effect.estimate,
        "low": _finite(shown(effect.low)),
        "high": _finite(shown(effect.high)),
        "p": effect.p,
        "n": effect.n,
        "exact": effect.exact,
        "minimum_p": effect.minimum_p,
        "left_out": out,
        "median_a": medians[0],
        "median_b": medians[1],
    }
    bound = math.log(least) if ratio else 0.0
    if not isinstance(effect, Effect):
        apart = effect.p <= _ALPHA and abs(effect.estimate) >= bound
        verdict = "too few seeds" if effect.minimum_p > _ALPHA else "differs" if apart else "open"
        return {**told, "seeds_needed": None, "verdict": verdict}
    verdict = "differs" if differs(effect, bound) else "same" if ratio and same(effect, bound) else "open"
    if underpowered(effect):
        verdict = "too few seeds"
    return {**told, "seeds_needed": effect.seeds_needed, "verdict": verdict}


def _described(arm: str, found: Divergence) -> dict[str, Any]:
    return {
        "arm": arm,
        "kind": found.kind,
        "slope": _finite(found.slope),
        "low": _finite(found.low),
        "high": _finite(found.high),
        "p": found.p,
        "n": found.n,
        "growth": _finite(found.growth),
        "own_slope": _finite(found.own.estimate),
        "own_growth": _finite(found.own_growth),
        "own_p": found.own.p,
        "seeds_diverging": int(found.observed.sum()),
        "at": [_finite(float(step)) for step in found.at],
        "sentence": found.sentence,
    }


def _later(a: str, b: str, found: dict[str, Divergence]) -> dict[str, Any]:
    """Return the log-rank test of the times to divergence of two arms."""
    times = np.concatenate([found[arm].times for arm in (a, b)])
    observed = np.concatenate([found[arm].observed for arm in (a, b)])
    test = log_rank(times, observed, np.arange(len(times)) < found[a].n)
    return {"a": a, "b": b, "observed": test.observed, "expected": test.expected, "z": test.z, "p": test.p}


def _finite(value: float) -> float | None:
    """Return a number that JSON can hold; None for the ends of an interval that one pair does not give."""
    return value if math.isfinite(value) else None


def _text(data: dict[str, Any]) -> str:
    rows = [
        (
            f"{one['a']} / {one['b']}" if one["ratio"] is not None else f"{one['a']} - {one['b']}",
            one["role"],
            one["metric"],
            f"{one['median_a']:.3g}",
            f"{one['median_b']:.3g}",
            _number(one["ratio"] if one["difference"] is None else one["difference"]),
            f"{_number(one['low'])} to {_number(one['high'])}",
            f"{one['p']:.2g}{'' if one['exact'] else ' (random)'}",
            f"{one['minimum_p']:.2g}",
            str(one["n"]) + (f" ({one['left_out']} left out)" if one["left_out"] else ""),
            _judged(one),
        )
        for one in data["effects"]
    ]
    headings = ("arms", "role", "metric", "median a", "median b", "effect", "95 % interval", "p", "least p")
    lines = [
        f"{data['study']}: the last {SHARE:.0%} of training, paired by seed",
        "",
        table((*headings, "n", "verdict"), rows),
        "",
        *map(_read, data["readings"]),
        *(f"{one['arm']}: {one['sentence']}" for one in data["divergence"]),
        *(
            f"Time to divergence, {one['a']} against {one['b']}: {one['observed']} seeds of {one['a']} "
            f"diverge, {one['expected']:.3g} expected (log-rank p = {one['p']:.2g})."
            for one in data["times_to_divergence"]
        ),
        "",
        "effect: geometric mean over seeds of a / b (or mean of a - b), with a BCa bootstrap interval.",
        "p: two-sided, by flipping the sign of each seed's log ratio in every way, or in 10^5 random ways;",
        "least p is what that many seeds can reach. n: seeds whose runs in both arms came to their end.",
        "verdict: differs where p, interval and ratio say so; same where the whole interval is within the",
        "ratio from which on a difference counts; otherwise open.",
    ]
    return "\n".join(lines)


def _read(one: dict[str, Any]) -> str:
    control = "Control: " if one["role"] == "control" else ""
    return f"{control}{one['separated'].capitalize()}. {one['sentence']}"


def _judged(one: dict[str, Any]) -> str:
    if not one["paired"]:
        return f"{one['verdict']}; no seed shared, so compared as two groups"
    needed = f", needs {one['seeds_needed']}" if one["verdict"] == "too few seeds" else ""
    return f"{one['verdict']}{needed}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}" if 0.01 <= abs(value) < 1e4 else f"{value:.3g}"


COMMAND = Command(
    "compare", "Compare arms, paired by seed: ratio of risks, interval, exact p.", _arguments, _run
)
