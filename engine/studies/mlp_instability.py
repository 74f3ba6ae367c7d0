"""Instability analysis: from which epoch on two orders of the same training end without a barrier between."""

import numpy as np

from data import checkpoints
from engine.datasets import Split
from engine.studies._evidence import Evidence, Values
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude
from engine.studies.mlp_modes import barriers

FORKS = (0, 1, 2, 4, 8, 16)
STABLE = (8, 16)
CHILDREN = 2
STEPS = 64
"""Of an epoch: 1,024 examples in batches of 16."""
LEAST = 0.1
SHARE = 0.1

STUDY = Study(
    name="mlp-instability",
    title="When training becomes stable to its order",
    claim=(
        "Two perceptrons trained on digits from the same weights, in orders that differ from the first epoch "
        "on, end with a barrier of test loss above 0.1 nats on the straight line between them; the barrier "
        "is less than half as high where the orders part after 4 of 24 epochs, and below a tenth where they "
        "part after 8 or later."
    ),
    source="Frankle, Dziugaite, Roy & Carbin 2020; the setting is this lab's own",
    dataset="digits",
    model="mlp",
    model_settings={"width": 64, "depth": 3},
    arms=tuple(
        Arm(f"fork {fork}", "Forked", ordering_settings={"fork": fork, "children": CHILDREN})
        for fork in FORKS
    ),
    seeds=16,
    children=CHILDREN,
    epochs=24,
    batch_size=16,
    lr=0.4,
    schedule="cosine",
    evaluate_every=STEPS,
    checkpoints=tuple(fork * STEPS for fork in FORKS),
    expected_seconds=44,
)


def _between_siblings(runs: Evidence, fork: int, split: Split) -> tuple[Values, int]:
    """Return each family's barrier, and how many were left out because they were not one run at the fork.

    Siblings of two trainings are the same only to rounding, which an unstable training makes large.
    """
    arm = f"fork {fork}"
    families = sorted({seed // CHILDREN for seed in runs.seeds})
    pairs = [(family * CHILDREN, family * CHILDREN + 1) for family in families]
    found, ids = barriers(runs, arm, pairs, split), {run.seed: run.id for run in runs.finished(arm)}
    step, apart = fork * runs.study.steps // runs.study.epochs, 0
    for place, pair in enumerate(pairs):
        if not np.isnan(found[place]) and not _same(runs, [ids[seed] for seed in pair], step):
            found[place], apart = np.nan, apart + 1
    return found, apart


def _same(runs: Evidence, ids: list[int], step: int) -> bool:
    """Whether runs have the same bits at the last step up to this one of which all were kept; none: no."""
    kept = [set(checkpoints.weight_steps(runs.store, run)) for run in ids]
    if not (before := [one for one in set.intersection(*kept) if one <= step]):
        return False
    first, *others = (checkpoints.weights(runs.store, run, max(before))[1] for run in ids)
    return all(np.array_equal(first[name], other[name]) for other in others for name in first)


def verdict(runs: Evidence) -> Verdict:
    """Judge the barriers between siblings, from the weights kept at the forks and at the end of training."""
    split = runs.study.load()
    read = {fork: _between_siblings(runs, fork, split) for fork in FORKS}
    found = {fork: values for fork, (values, _) in read.items()}
    highest = np.max([found[fork] for fork in STABLE], axis=0)
    details = [
        compare("fork at 0, barrier between siblings in nats", found[0], 0.0, "above", LEAST, "difference"),
        compare("fork at 4, barrier - half of that at 0", found[4], found[0] / 2, "below", 0.0, "difference"),
        compare(
            "fork at 8 or 16, higher barrier - a tenth of that at 0",
            *(highest, SHARE * found[0], "below", 0.0, "difference"),
        ),
    ]
    left_out = [
        f"{apart} families of fork {fork} were not one run up to their fork and are left out: train both "
        "seeds of a family in one training."
        for fork, (_, apart) in read.items()
        if apart
    ]
    return conclude(details, notes=[*left_out, *runs.notes])
