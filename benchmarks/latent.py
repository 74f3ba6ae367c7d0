"""The whole search for latent states against hmmlearn, one fit after another and with joblib.

All three fit the same runs for every number of states from as many starts, with diagonal and with full
covariances, and stop at the same gain in log-likelihood per observation: hmmlearn from its own k-means starts
and with its own covariance prior, this project from its four kinds of start. None cross-validates. Each round
times every way once, in turn; a ratio is the median over rounds, with its smallest and largest value. Beside
the times stand the best log-likelihoods reached, in nats per observation. Every process has one thread.
Seconds are those on the clock, and for one process also those of the processor, which other work on the
machine leaves alone; ratios are of the latter where both have it.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from hmmlearn.hmm import GaussianHMM
from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

from benchmarks._report import report
from engine.analysis.latent.estimation import MAX_STEPS, TOLERANCE
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.search import Search

Kind = Literal["diag", "full"]
Best = dict[tuple[str, int], float]
"""The highest log-likelihood, by covariance and number of states, in nats per observation."""


def runs_of(seeds: int, steps: int, metrics: int, states: int = 5) -> list[Any]:
    """Return z-scored runs through states of related metrics, from left to right."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(states, metrics))
    roots = rng.normal(size=(states, metrics, metrics)) / np.sqrt(metrics) + np.eye(metrics) * 0.5
    runs = []
    for _ in range(seeds):
        shares = np.cumsum(rng.dirichlet(np.full(states, 4.0)))[:-1]
        path = np.searchsorted(shares, (np.arange(steps) + 0.5) / steps)
        noise = rng.normal(size=(steps, metrics))
        run = means[path] + 0.6 * np.einsum("tij,tj->ti", roots[path], noise)
        runs.append((run - run.mean(axis=0)) / run.std(axis=0))
    return runs


def theirs(X: Any, lengths: Any, kind: Kind, k: int, seed: int) -> float:
    """Return the log-likelihood of one fit by hmmlearn, -inf where it fails."""
    model = GaussianHMM(k, kind, n_iter=MAX_STEPS, tol=TOLERANCE * len(X), random_state=seed)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return float(model.fit(X, lengths).score(X, lengths))
        except ValueError:  # a covariance that is not positive definite
            return float("-inf")


def by_hmmlearn(runs: list[Any], states: Sequence[int], restarts: int, jobs: int) -> Best:
    """Search with hmmlearn, in one process or with joblib in several."""
    X, lengths = stack(runs)
    plan = [(kind, k, seed) for kind in ("diag", "full") for k in states for seed in range(restarts)]
    climbs = Parallel(n_jobs=jobs)(delayed(theirs)(X, lengths, *each) for each in plan)
    best: Best = {}
    for (kind, k, _), loglik in zip(plan, climbs, strict=True):
        best[kind, k] = max(best.get((kind, k), float("-inf")), loglik / len(X))
    return best


def by_detour(runs: list[Any], states: Sequence[int], restarts: int, workers: int) -> Best:
    """Search with this project's own fit."""
    rows = sum(map(len, runs))
    best: Best = {}
    kinds: tuple[Kind, ...] = ("diag", "full")
    for kind in kinds:
        search = Search(runs, (), kind, "ergodic", 0)
        for task, found in search.run(search.tasks(states, restarts), workers).items():
            name = kind, task.n_states
            best[name] = max(best.get(name, float("-inf")), found.loglik / rows)
    return best


def main() -> None:
    """Measure, and keep the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    for name, value in (("seeds", 40), ("steps", 1000), ("metrics", 14), ("states", 8), ("restarts", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--jobs", type=int, default=2, help="processes of joblib and of Detour; 1: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--remark", default="", help="a sentence about the circumstances, for the results")
    arguments = parser.parse_args()
    runs = runs_of(arguments.seeds, arguments.steps, arguments.metrics)
    states, restarts = range(1, arguments.states + 1), arguments.restarts
    ways: dict[str, Callable[[], Best]] = {
        "Detour": lambda: by_detour(runs, states, restarts, 1),
        "hmmlearn": lambda: by_hmmlearn(runs, states, restarts, 1),
    }
    if arguments.jobs > 1:
        jobs = arguments.jobs
        ways[f"Detour, {jobs} processes"] = lambda: by_detour(runs, states, restarts, jobs)
        ways[f"hmmlearn, joblib {jobs}"] = lambda: by_hmmlearn(runs, states, restarts, jobs)
    took: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    best: dict[str, Best] = {}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            began, worked = time.perf_counter(), time.process_time()
            best[name] = way()
            took[name].append(time.perf_counter() - began)
            cpu[name].append(time.process_time() - worked)
            print(f"{name}: {took[name][-1]:.1f} s, of the processor {cpu[name][-1]:.1f} s", flush=True)
    speeds = []
    for name, seconds in took.items():
        alone = name in ("hmmlearn", "Detour")
        slow, fast = (cpu["hmmlearn"], cpu[name]) if alone else (took["hmmlearn"], seconds)
        ratios = [theirs / ours for theirs, ours in zip(slow, fast, strict=True)]
        ratio = f"{statistics.median(ratios):.1f}x ({min(ratios):.1f}-{max(ratios):.1f})"
        worked_for = f"{statistics.median(cpu[name]):.1f}" if alone else ""
        speeds.append([name, f"{statistics.median(seconds):.1f}", worked_for, ratio])
    reached = [
        [kind, str(k), f"{best['hmmlearn'][kind, k]:.4f}", f"{best['Detour'][kind, k]:.4f}"]
        for kind in ("diag", "full")
        for k in states
    ]
    size = (
        f"{arguments.seeds} runs of {arguments.steps} steps and {arguments.metrics} metrics, "
        f"K = 1 to {arguments.states}, {restarts} starts, {arguments.rounds} round"
        f"{'' if arguments.rounds == 1 else 's'}. {arguments.remark}"
    ).strip()
    text = (
        f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\n{size}\n\n"
        + markdown(["way", "seconds", "of the processor", "hmmlearn's / this"], speeds)
        + "\n\n"
        + markdown(["covariance", "K", "hmmlearn, best", "Detour, best"], reached)
    )
    report("latent", "The search for latent states against hmmlearn", text, torch.device("cpu"))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main()
