"""Builds a store whose runs take a planted detour in one arm and none in the other."""

from pathlib import Path

import numpy as np

from data import analyses
from data.rows import MetricRow
from data.store import Store, open_store
from data.traces import TraceWriter

START, DETOUR, DECOY, CLIMB, FINAL, NEVER = range(6)
N_STATES = 6
STUDY = "planted"
ARMS = ("plain", "layer norm")
EVERY, ROWS = 10, 120
DELAY = 30
"""Rows that the detour lasts."""


def walk(arm: str, seed: int) -> tuple[np.ndarray, int | None]:
    """Return a path and the row of convergence: half of the plain runs take the detour, a third the decoy.

    Every run goes through the start and the climb; the final state is entered with convergence.
    """
    rng = np.random.default_rng([seed, len(arm)])
    detour = arm == "plain" and seed % 2 == 0
    decoy = seed % 3 == 0
    parts = [
        (START, 8 + int(rng.integers(0, 6))),
        (DETOUR, DELAY * detour),
        (DECOY, 8 * decoy),
        (CLIMB, 25 + int(rng.integers(0, 8)) - 8 * decoy),
    ]
    path = np.concatenate([np.full(rows, state) for state, rows in parts])
    at = len(path)
    if seed == 10 and arm == "plain":
        return np.r_[path[:-20], np.full(ROWS, DETOUR)][:ROWS], None  # never gets out of the detour
    return np.r_[path, np.full(ROWS, FINAL)][:ROWS], at


def build(root: Path, seeds: int = 24, arms: tuple[str, ...] = ARMS, refits: int = 0) -> Store:
    """Make the store: accuracy is 0.2 before convergence and 0.97 after, the risk falls by the way.

    Refits find the same paths, but every fourth of them has no counterpart of the detour.
    """
    store = open_store(root, create=True)
    config = {"arms": [{"name": arm} for arm in arms], "epochs": 10}
    store.catalog.save_study(STUDY, "A planted detour", "Half of the plain runs are late.", config, "upload")
    store.catalog.save_metrics(
        STUDY,
        [
            MetricRow(STUDY, "test_accuracy", "Test accuracy", "", "share classified right", "", False),
            MetricRow(STUDY, "full_batch_risk", "Full-batch risk", "nats", "cross-entropy", "", True),
        ],
    )
    job = store.catalog.create_job("train", STUDY, {})
    wanted = [(arm, seed, {}) for arm in arms for seed in range(seeds)]
    ids = store.catalog.start_runs(job.id, STUDY, wanted, EVERY * (ROWS - 1), "cpu")
    steps = np.arange(ROWS) * EVERY
    paths = []
    with TraceWriter(store, job.id, ["test_accuracy", "full_batch_risk"]) as writer:
        for (arm, seed, _), run in zip(wanted, ids, strict=True):
            path, at = walk(arm, seed)
            paths.append(path)
            reached = np.arange(ROWS) >= (ROWS if at is None else at)
            noise = np.random.default_rng([seed, 3]).normal(0, 0.005, ROWS)
            columns = {
                "test_accuracy": np.where(reached, 0.97, 0.2) + noise,
                "full_batch_risk": np.exp(-path / 2 - 2.0 * reached + noise),
            }
            writer.write(np.full(ROWS, run), steps, steps / 100, steps * 0.01, columns)
    store.catalog.update_runs([{"id": run, "status": "done", "step": int(steps[-1])} for run in ids])
    store.catalog.finish_job(job.id, "done")
    _save_fit(store, wanted, ids, steps, paths, refits)
    return store


def _save_fit(
    store: Store,
    wanted: list[tuple[str, int, dict[str, object]]],
    ids: list[int],
    steps: np.ndarray,
    paths: list[np.ndarray],
    refits: int,
) -> None:
    path = np.concatenate(paths)
    posterior = np.full((len(path), N_STATES), 0.02)
    posterior[np.arange(len(path)), path] = 0.9
    table = [
        {"n_states": N_STATES, "heldout_loglik": -1.0, "heldout_se": 0.1, "train_loglik": -0.9, "bic": 10.0,
         "parameters": 40, "restart_logliks": [-0.9, -1.0]}
    ]  # fmt: skip
    summary = {
        "n_states": N_STATES, "metrics": ["full_batch_risk"], "requested": ["full_batch_risk"], "dropped": [],
        "normalize": "pooled", "covariance": "diag", "restarts": 2, "seed": 0,
        "arms": list(dict.fromkeys(arm for arm, *_ in wanted)), "table": table, "rule": "planted",
        "trust": {"folds": 5, "restart_hits": 1, "restart_spread": 0.1, "autocorrelation": []},
        "warnings": [],
        "runs": [
            {"run": run, "arm": arm, "seed": seed, "fold": seed % 5, "left_out": False, "steps": ROWS,
             "cut_at": None}
            for (arm, seed, _), run in zip(wanted, ids, strict=True)
        ],
    }  # fmt: skip
    transmat = np.full((N_STATES, N_STATES), 0.01)
    np.fill_diagonal(transmat, 1 - 0.01 * (N_STATES - 1))
    arrays = {
        "startprob": np.eye(N_STATES)[0],
        "transmat": transmat,
        "means": np.zeros((N_STATES, 1)),
        "covars": np.ones((N_STATES, 1)),
        "steps": np.tile(steps, len(paths)).astype(np.int64),
        "path": path.astype(np.int16),
        "posterior": posterior.astype(np.float32),
        "offsets": np.cumsum([0, *map(len, paths)]).astype(np.int64),
    }
    if refits:
        lost = (np.arange(refits)[:, None] % 4 == 0) & (path == DETOUR)
        arrays["refit_path"] = np.where(lost, -1, path).astype(np.int8)
        arrays["refit_counts"] = np.ones((refits, len(paths)), dtype=np.int16)
        summary["refits"] = {"count": refits, "agreement": [1.0] * refits}
    analyses.save(store, STUDY, "latent", {}, summary, arrays, code_version="test", seed=0)
