"""Builds a store through the data house's own interface, with runs that look like the demo study's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data.rows import MetricRow
from data.store import Store, open_store
from data.traces import TraceWriter
from engine.studies import Study, study

METRICS = {
    "own_batch_risk": ("Own-batch risk", "nats", "mean cross-entropy over the run's own batches", True),
    "full_batch_risk": ("Full-batch risk", "nats", "cross-entropy with full-batch statistics", True),
    "test_accuracy": ("Test accuracy", "", "share of test examples classified right", False),
    "gradient_norm": ("Gradient norm", "", "l2 norm of the full-batch gradient", True),
    "l2": ("Frobenius norm", "", "mean over matrices of the Frobenius norm", False),
    "spectral_norm": ("Spectral norm", "", "mean over matrices of the largest singular value", False),
}
LEVELS = {  # final own-batch and full-batch risk, as measured on the demo study
    "SS": (0.0013, 0.023),
    "RR": (0.019, 0.006),
    "SS no BN": (0.011, 0.0110),
    "RR no BN": (0.011, 0.0111),
}


def build(
    root: Path,
    seeds: int = 6,
    points: int = 80,
    faults: bool = True,
    job_status: str = "done",
    batch_loss: bool = False,
) -> Store:
    """Make a store with one study: four arms, `seeds` seeds each, `points` measurements a run.

    With `faults`, the last seed of RR diverges (NaN and Inf) and the first seed of SS has zeros and a spike.
    With `job_status` "running" the job and its runs are left at two thirds.
    """
    store = open_store(root, create=True)
    demo = study("digits-shuffling")
    write_study(store, demo, seeds, points, faults, job_status, batch_loss)
    return store


def write_study(
    store: Store,
    demo: Study,
    seeds: int,
    points: int,
    faults: bool,
    job_status: str,
    batch_loss: bool = False,
) -> int:
    """Write one study and return its job."""
    running = job_status == "running"
    steps_all = demo.evaluate_every * (points - 1)
    store.catalog.save_study(demo.name, demo.title, demo.claim, demo.config(), "engine")
    store.catalog.save_metrics(
        demo.name,
        [
            MetricRow(demo.name, name, *about[:3], "made for tests", about[3])
            for name, about in METRICS.items()
        ],
    )
    if batch_loss:
        loss = ("Batch loss", "nats", "loss of each step's batch", "made for tests", True)
        store.catalog.save_metrics(demo.name, [MetricRow(demo.name, "batch_loss", *loss)])
    spec = {
        "study": demo.name,
        "overrides": {},
        "seeds": list(range(seeds)),
        "arms": [arm.name for arm in demo.arms],
    }
    job = store.catalog.create_job("train", demo.name, spec)
    assert store.catalog.claim_job(job.id, _pid(), _started(), _host())
    wanted = [
        (
            arm.name,
            seed,
            {"lr": demo.lr, "ordering": arm.ordering, "model": {"norm": arm.model.get("norm", "batch")}},
        )
        for arm in demo.arms
        for seed in range(seeds)
    ]
    ids = store.catalog.start_runs(job.id, demo.name, wanted, steps_all, "cpu")
    count = points * 2 // 3 if running else points
    changes = _write_traces(store, job.id, demo, wanted, ids, count, faults, batch_loss)
    if running:
        for change in changes:
            change["status"] = "running"
        store.catalog.update_runs(changes)
        store.catalog.heartbeat(job.id, demo.evaluate_every * (count - 1), steps_all, 812.0, "")
    else:
        store.catalog.update_runs(changes)
        store.catalog.heartbeat(job.id, steps_all, steps_all, 812.0, "")
        store.catalog.finish_job(job.id, "done")
    return job.id


def _write_traces(
    store: Store,
    job: int,
    demo: Study,
    wanted: Sequence[tuple[str, int, dict[str, object]]],
    ids: Sequence[int],
    count: int,
    faults: bool,
    batch_loss: bool,
) -> list[dict[str, object]]:
    changes: list[dict[str, object]] = []
    names = [*METRICS, "batch_loss"] if batch_loss else list(METRICS)
    with TraceWriter(store, job, names) as writer:
        for (arm, seed, _), run in zip(wanted, ids, strict=True):
            columns = curves(arm, seed, count)
            if faults and (arm, seed) == ("SS", 0):
                columns["own_batch_risk"][count // 2 : count // 2 + 3] = 0.0
                columns["full_batch_risk"][count // 3] = 40.0
            cut = count
            last = max(s for a, s, _ in wanted if a == arm)
            if faults and arm == "RR" and seed == last:
                cut = count // 2
                columns = {name: values[:cut] for name, values in columns.items()}
                columns["own_batch_risk"][-1] = np.nan
                columns["full_batch_risk"][-2:] = [np.inf, np.nan]
            every = demo.evaluate_every
            steps = np.arange(cut) * every
            if batch_loss:
                steps, columns = dense(steps, columns, every)
            writer.write(np.full(len(steps), run), steps, steps / 32, steps * 0.004, columns)
            diverged = cut < count
            changes.append(
                {
                    "id": run,
                    "status": "diverged" if diverged else "done",
                    "step": int(steps[-1]),
                    "seconds": float(steps[-1] * 0.004),
                    "diverged_at": int(steps[-1]) if diverged else None,
                    "diverged_what": "own_batch_risk is not finite" if diverged else None,
                    "finals": {name: _number(values[-1]) for name, values in columns.items()},
                }
            )
    return changes


def dense(
    steps: np.ndarray, columns: dict[str, np.ndarray], every: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Spread evaluations over every step, with a batch loss at each."""
    every_step = np.arange(int(steps[-1]) + 1)
    out: dict[str, np.ndarray] = {}
    for name, values in columns.items():
        wide = np.ma.masked_all(len(every_step), dtype=float)
        wide[::every] = values
        out[name] = wide
    rng = np.random.default_rng(0)
    out["batch_loss"] = np.exp(-every_step / every_step[-1] * 4) * rng.lognormal(0, 0.3, len(every_step))
    return every_step, out


def curves(arm: str, seed: int, count: int) -> dict[str, np.ndarray]:
    """Return one run's metrics: risks fall from 2.3 to the arm's level after a plateau of random length."""
    rng = np.random.default_rng([seed, 7])
    noise = np.random.default_rng([seed, sum(map(ord, arm))])
    t = np.linspace(0, 1, count)
    delay = 0.08 + 0.12 * rng.random()
    fall = 1 / (1 + np.exp(-(t - delay - 0.12) * 18)) * (0.6 + 0.4 * t)
    fall = (fall - fall[0]) / (fall[-1] - fall[0])
    own, full = LEVELS[arm]
    tilt = rng.normal(0, 0.12)

    def risk(level: float) -> np.ndarray:
        path = np.log(2.3) * (1 - fall) + (np.log(level) + tilt + noise.normal(0, 0.04)) * fall
        return np.exp(path + noise.normal(0, 0.05, count))

    return {
        "own_batch_risk": risk(own),
        "full_batch_risk": risk(full),
        "test_accuracy": np.clip(0.1 + 0.86 * fall + noise.normal(0, 0.006, count), 0, 1),
        "gradient_norm": np.exp(-4 * fall) * noise.lognormal(0, 0.15, count),
        "l2": 4 + 5 * fall + noise.normal(0, 0.05, count),
        "spectral_norm": 1.2 + 2.5 * fall**2 + noise.normal(0, 0.03, count),
    }


def _number(value: float) -> float | None:
    return float(value) if value is not np.ma.masked and np.isfinite(value) else None


def _pid() -> int:
    import os

    return os.getpid()


def _started() -> float:
    import os

    import psutil

    return float(psutil.Process(os.getpid()).create_time())


def _host() -> str:
    import socket

    return socket.gethostname()


def add_latent(store: Store, n_states: int = 3) -> None:
    """Keep a made-up fit of SS and RR: every run walks through the states at a pace of its own."""
    from data import analyses

    name = study("digits-shuffling").name
    frame = store.traces.frame(name, ["l2"], arms=["SS", "RR"])
    runs, steps, paths, posteriors = [], [], [], []
    for (arm, seed), rows in frame.groupby(["arm", "seed"], sort=False):
        rng = np.random.default_rng([int(seed), len(str(arm))])
        bounds = np.sort(rng.uniform(0.2, 0.8, n_states - 1))
        path = np.searchsorted(bounds, np.linspace(0, 1, len(rows)))
        sure = rng.uniform(0.6, 1.0, len(rows))
        posterior = np.full((len(rows), n_states), 0.0)
        posterior[:] = ((1 - sure) / (n_states - 1))[:, None]
        posterior[np.arange(len(rows)), path] = sure
        runs.append(
            {"run": int(rows["run"].iloc[0]), "arm": arm, "seed": int(seed),
             "held_out": seed == 0, "left_out": False,
             "steps": len(rows), "cut_at": None}
        )  # fmt: skip
        steps.append(rows["step"].to_numpy(np.int64))
        paths.append(path)
        posteriors.append(posterior)
    metrics = ["own_batch_risk", "full_batch_risk", "l2"]
    rng = np.random.default_rng(0)
    moves = _moves(steps, paths, rng)
    table = [
        {"n_states": k, "heldout_loglik": -4 + 3 * (1 - 1 / k), "heldout_se": 0.2, "heldout_logliks": [],
         "shortfall": 0.0,
         "shortfall_se": 0.1, "train_loglik": -3.9 + 3 * (1 - 1 / k), "bic": 1000.0 / k, "parameters": 10 * k,
         "best_restart_hits": 3, "restart_logliks": [-3.9, -3.9, -3.9, -4.1, None], "converged": 5}
        for k in range(1, 6)
    ]  # fmt: skip
    summary = {
        "n_states": n_states, "metrics": metrics, "requested": [*metrics, "gradient_norm"],
        "dropped": [{"metric": "gradient_norm", "why": "constant"}], "logged": [], "normalize": "pooled",
        "covariance": "diag", "restarts": 5, "seed": 0, "arms": ["SS", "RR"], "runs": runs, "table": table,
        "rule": "fewest states within one standard error of the highest held-out likelihood",
        "trust": {"restart_hits": 3, "restart_spread": 0.2, "occupancy": [0.3, 0.4, 0.3], "entropy": 0.1,
                  "autocorrelation": [0.2, 0.4, None], "folds": 5,
                  "rivals": [{"shortfall": 0.0, "agreement": 0.97}, {"shortfall": 0.2, "agreement": 0.61}]},
        "every": 1, "topology": "ergodic", "transitions": moves,
        "warnings": ["Within states neighbouring rows still correlate."], "state_order": "mean "
        "step of first visit",
    }  # fmt: skip
    transmat = np.full((n_states, n_states), 0.01)
    np.fill_diagonal(transmat, 0.0)
    transmat += np.diag(np.full(n_states - 1, 0.05), 1)
    np.fill_diagonal(transmat, 1 - transmat.sum(axis=1))
    arrays = {
        "startprob": np.eye(n_states)[0],
        "transmat": transmat,
        "means": rng.normal(size=(n_states, len(metrics))),
        "covars": np.ones((n_states, len(metrics))),
        "centre": np.zeros(len(metrics)),
        "scale": np.ones(len(metrics)),
        "steps": np.concatenate(steps),
        "path": np.concatenate(paths).astype(np.int16),
        "posterior": np.concatenate(posteriors).astype(np.float32),
        "offsets": np.cumsum([0, *map(len, paths)]).astype(np.int64),
    }
    analyses.save(store, name, "latent", {"metrics": metrics}, summary, arrays, code_version="test", seed=0)


def _moves(
    steps: Sequence[np.ndarray], paths: Sequence[np.ndarray], rng: np.random.Generator
) -> list[dict[str, object]]:
    """Return the transitions of these paths, as a record holds them, with made-up attributions."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for run, (at, path) in enumerate(zip(steps, paths, strict=True)):
        for t in np.flatnonzero(np.diff(path)) + 1:
            found.setdefault((int(path[t - 1]), int(path[t])), []).append((run, int(at[t])))
    left = {
        source: sum(len(each) for pair, each in found.items() if pair[0] == source) for source, _ in found
    }
    return [
        {"source": source, "target": target, "count": len(each), "runs": [run for run, _ in each],
         "steps": [step for _, step in each], "share": len(each) / left[source], "interval": [0.5, 1.0],
         "gradient": rng.normal(size=3).tolist(), "strength": rng.uniform(1, 2, 3).tolist(),
         "difference": rng.normal(size=3).tolist()}
        for (source, target), each in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]  # fmt: skip
