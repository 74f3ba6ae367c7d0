"""Keeps a made-up explanation of the demo study's orders: real analyses of random features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data import analyses
from data.store import Store
from engine.analysis.shuffling import Risks, Sampled
from engine.analysis.shuffling.contrast import Contrast, Seen
from engine.analysis.shuffling.explanation import Explained, to_record
from engine.analysis.shuffling.risks import Distances
from engine.jobs.explain_request import KIND, explain_request
from engine.studies import study

STEPS = (0, 640, 3776)


def add_explanation(store: Store, task: str = "classes", arms: Sequence[str] | None = None) -> int:
    """Keep an explanation of every run of the demo study in the store, and return its number."""
    name = study("digits-shuffling").name
    runs = [run for run in store.catalog.runs(name) if arms is None or run.arm in arms]
    runs.sort(key=lambda run: (run.arm, run.seed))
    each = [_explained(at, run.arm, run.seed, step, task) for at, run in enumerate(runs) for step in STEPS]
    summary, arrays = to_record(each)
    told = [run.arm for run in runs]
    summary |= {
        "task": task, "classes": {"classes": [3, 8], "signs": [1, -1]}.get(task, []),
        "arms": list(dict.fromkeys(told)), "steps": list(STEPS),
        "runs": [{"run": run.id, "arm": run.arm, "seed": run.seed} for run in runs],
        "not_finite": [{"arm": "RR", "seed": 7, "step": 640}],
        "one_against_rest": _rest(task),
        "notes": {arm: ["Without batch normalization no order moves what the read-out sees."]
                  for arm in set(told) if "no BN" in arm},
    }  # fmt: skip
    spec = explain_request(store, name).spec | {"task": task}
    return analyses.save(store, name, KIND, spec, summary, arrays, code_version="test", seed=0).id


def _rest(task: str) -> list[dict[str, Any]]:
    if task != "classes":
        return []
    return [
        {"arm": "SS", "seed": 0, "step": STEPS[-1], "class": one, "kind": "bounded", "separable": 0.0,
         "margin": 0.0, "misclassified": 0.0, "complete": True, "caution": ""}
        for one in range(10)
    ]  # fmt: skip


def _explained(at: int, arm: str, seed: int, step: int, task: str) -> Explained:
    rng = np.random.default_rng([seed, step, len(arm)])
    risks = Risks(
        rng.lognormal(-2), Sampled(np.array(rng.lognormal(-2)), np.array(0.01), 128, False), rng.lognormal(-2)
    )
    if task == "values":
        return Explained(at, step, risks, Distances(*rng.uniform(0, 1, 3)), None, None, float("nan"), None)
    # Of SS more features than examples, which are separable whatever their labels; of RR many examples.
    rows, features = (24, 30) if arm.startswith("SS") else (60, 6)
    X, y = rng.normal(size=(rows, features)), rng.choice([-1, 1], rows)
    full = X + 0.3 * rng.normal(size=X.shape)
    own, whole = (Seen(part, y, np.arange(rows)) for part in (X, full))
    one = Contrast(own, whole, rng.normal(size=features), 0.1, True, False)
    split = one.split()
    told, picture = one.told(split, 1.0), one.picture(rows)
    return Explained(at, step, risks, None, split, told, one.alignment(split), picture)
