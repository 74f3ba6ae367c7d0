"""Latent states and detours as found by Detour and by the package of Hu et al. 2023, on the same traces.

Both see the same runs, split alike into four fifths to fit and one fifth held out, for K = 1 to 8, diagonal
covariances, z-scores of each run over its own length. Theirs is `visualize_training.hmm.HMM` as it comes
(package visualizing-training 1.0.0, 100 EM steps; its demo takes 10). It draws AIC and BIC over K and leaves
K to the eye: taken here is the lowest mean BIC on the held-out runs. It has no code for detours: taken is the
rule of the paper's section 3.4, a linear regression of convergence time on the states visited at all, a
detour being a state that not every run visits and whose coefficient is positive. Runs that never converge are
left out of it.

The constructed runs have six states, of which state 2 is taken by half of the runs and delays them, and one
of state 3 and state 4 by every run to no effect; they end after the same number of steps. Agreement is the
share of rows in the true state after the states are matched. Log-likelihoods are in nats per row of the held-
out runs. Scores of a run over its own length move a state by what else the run visits, so the third line is
Detour with scores pooled over the training runs, in units in which its likelihood cannot be compared.
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from glob import glob
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import train_test_split

from benchmarks._report import report
from benchmarks.latent import markdown
from data.store import open_store
from engine.analysis import detours, latent
from engine.analysis.latent import Normalize
from engine.analysis.latent.model import logliks
from engine.jobs.fit_request import WEIGHT_METRICS

TRUE_STATES, DETOUR = 6, 2
HELD_OUT = 0.2
STATES = range(1, 9)


class Traces(NamedTuple):
    """Runs to compare on; `paths` is the truth where it is known."""

    name: str
    metrics: tuple[str, ...]
    runs: list[Any]
    converged_at: list[float | None]
    paths: list[Any] | None
    steps: list[Any]


class Found(NamedTuple):
    """What one of the two found on one set of traces: states of all runs, which are detours, by how much."""

    n_states: int
    heldout: float
    paths: list[Any]
    detours: dict[int, float]
    seconds: float


def constructed(seed: int, phi: float, runs: int = 40, rows: int = 400, metrics: int = 14) -> Traces:
    """Return runs through known states, with noise correlated by `phi` from row to row."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(TRUE_STATES, metrics)) * 1.5
    found: list[Any] = []
    paths: list[Any] = []
    times: list[float | None] = []
    for _ in range(runs):
        stays = [(0, 40 + rng.integers(20)), (1, 40 + rng.integers(60))]
        if rng.random() < 0.5:
            stays.append((DETOUR, 60 + rng.integers(40)))
        stays.append((3 if rng.random() < 0.5 else 4, 30 + rng.integers(30)))
        times.append(float(sum(length for _, length in stays)))
        path = np.concatenate([np.full(length, state) for state, length in [*stays, (5, rows)]])[:rows]
        noise = rng.normal(size=(rows, metrics))
        for t in range(1, rows):
            noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi**2) * noise[t]
        found.append(means[path] + noise)
        paths.append(path)
    names = tuple(f"m{column}" for column in range(metrics))
    label = f"constructed, AR({phi:g}) noise" if phi else "constructed"
    return Traces(label, names, found, times, paths, [np.arange(rows)] * runs)


def recorded(root: Path, study: str, metric: str, threshold: float) -> Traces:
    """Return the runs of a study in a store, converged where the metric reaches the threshold and stays."""
    store = open_store(root)
    at_hand = {row.name for row in store.catalog.metrics(study)}
    metrics = tuple(name for name in WEIGHT_METRICS if name in at_hand)
    matrices = store.traces.matrices(study, metrics)
    measured = {(run.arm, run.seed): run for run in store.traces.matrices(study, [metric])}
    store.close()
    pairs = [(run, measured[run.arm, run.seed]) for run in matrices]
    times = detours.converged_at(
        [other.values[:, 0] for _, other in pairs], threshold, steps=[other.steps for _, other in pairs]
    )
    runs, steps = [run.values for run in matrices], [run.steps for run in matrices]
    return Traces(f"{study}, {metric} at {threshold:g}", metrics, runs, times, None, steps)


def by_package(traces: Traces, restarts: int) -> tuple[Found, list[int]]:
    """Fit with the package, choose K by its mean BIC, apply the paper's rule; say which runs it held out."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for run, values in enumerate(traces.runs):
            frame = pd.DataFrame(values, columns=list(traces.metrics))
            frame.assign(epoch=traces.steps[run]).to_csv(f"{folder}/{run}.csv", index=False)
        np.random.seed(0)  # the package draws from NumPy's global state
        hmm = import_module("visualize_training.hmm").HMM(STATES[-1], "diag", restarts, 100)
        began = time.perf_counter()
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            out = hmm.get_avg_log_likelihood(f"{folder}/", list(traces.metrics))
        seconds = time.perf_counter() - began
        files = [int(Path(file).stem) for file in glob(f"{folder}/*.csv")]  # in its order
    held_out = train_test_split(files, test_size=HELD_OUT, random_state=0)[1]
    k = int(np.argmin(out["bics"])) + 1
    model = out["best_models"][k - 1]
    scores = [(run - run.mean(axis=0)) / run.std(axis=0) for run in traces.runs]
    heldout = sum(model.score(scores[run]) for run in held_out) / sum(len(scores[run]) for run in held_out)
    paths = [model.predict(run) for run in scores]
    return Found(k, heldout, paths, by_regression(paths, traces.converged_at, k), seconds), held_out


def by_regression(paths: list[Any], converged_at: list[float | None], k: int) -> dict[int, float]:
    """Return the optional states with a positive coefficient, in steps, by the rule of the paper."""
    visited = np.array([[(path == state).any() for state in range(k)] for path in paths], dtype=float)
    known = np.array([at is not None for at in converged_at])
    optional = [state for state in range(k) if not visited[:, state].all()]
    design = np.column_stack([np.ones(known.sum()), visited[known][:, optional]])
    times = np.array([at for at in converged_at if at is not None])
    delays = np.linalg.lstsq(design, times, rcond=None)[0][1:]
    return {state: float(delay) for state, delay in zip(optional, delays, strict=True) if delay > 1e-6}


def by_detour(traces: Traces, restarts: int, held_out: Sequence[int], normalize: Normalize) -> Found:
    """Fit and judge with this project, on the same training runs."""
    began = time.perf_counter()
    training = [run for number, run in enumerate(traces.runs) if number not in held_out]
    model = latent.fit(training, traces.metrics, STATES, normalize=normalize, restarts=restarts).best
    seconds = time.perf_counter() - began
    rows = model.scaling.rows_of([traces.runs[run] for run in held_out])
    heldout = logliks(model.parameters, rows).sum() / sum(map(len, rows))
    paths = latent.decode(model, traces.runs).paths
    steps = [each[:: model.scaling.every] for each in traces.steps]
    found = detours.find(paths, traces.converged_at, model.n_states, steps=steps)
    late = {each.state: each.joint_delay for each in found if each.is_detour}
    return Found(model.n_states, float(heldout), paths, late, seconds)


def line(traces: Traces, name: str, found: Found) -> list[str]:
    """Return one row of the table."""
    names = {state: f"state {state}" for state in range(found.n_states)}
    agreement = "unknown"
    if traces.paths is not None:
        matched = latent.match(found.paths, traces.paths, found.n_states, TRUE_STATES)
        agreement = f"{matched.agreement:.1%}"
        names = {
            state: f"true state {true}" if true >= 0 else "no true state"
            for state, true in enumerate(matched.states.tolist())
        }
    late = ", ".join(f"{names[state]} ({delay:+.0f} steps)" for state, delay in found.detours.items())
    return [
        traces.name,
        name,
        str(found.n_states),
        "" if np.isnan(found.heldout) else f"{found.heldout:.3f}",
        agreement,
        late or "none",
        f"{found.seconds:.0f}",
    ]


def main() -> None:
    """Compare, and keep the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--restarts", type=int, default=10)
    parser.add_argument("--store", type=Path, help="a store with a study to compare on as well")
    parser.add_argument("--study", default="sparse-parity")
    parser.add_argument("--metric", default="test_accuracy", help="that converges")
    parser.add_argument("--threshold", type=float, default=0.9)
    arguments = parser.parse_args()
    if find_spec("visualize_training") is None:
        print("Left out: the package visualizing-training is not installed.")
        return
    cases = [constructed(0, 0.0), constructed(1, 0.7)]
    if arguments.store is not None:
        cases.append(recorded(arguments.store, arguments.study, arguments.metric, arguments.threshold))
    lines = []
    for traces in cases:
        theirs, held_out = by_package(traces, arguments.restarts)
        ours = by_detour(traces, arguments.restarts, held_out, "per-run")
        pooled = by_detour(traces, arguments.restarts, held_out, "pooled")._replace(heldout=float("nan"))
        for name, found in (("visualizing-training", theirs), ("Detour", ours), ("Detour, pooled", pooled)):
            lines.append(line(traces, name, found))
            print(lines[-1], flush=True)
    head = ["traces", "by", "K", "held-out log-likelihood", "agreement", "detours", "seconds"]
    text = f"{(__doc__ or '').split(chr(10), 2)[2].strip()}\n\n{arguments.restarts} restarts.\n\n"
    text += markdown(head, lines)
    report("latent-published", "Latent states against visualizing-training", text, torch.device("cpu"))


if __name__ == "__main__":
    main()
