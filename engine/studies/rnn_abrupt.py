"""Recurrent networks that learn to add two numbers across a delay all at once."""

import numpy as np

from engine.studies._evidence import Curve, Evidence, Values
from engine.studies._study import Arm, Comparison, Study
from engine.studies._verdict import Verdict, compare, conclude, share

RISK = "full_batch_risk"
WINDOW = 0.1
EVERY = 20

STUDY = Study(
    name="rnn-abrupt",
    title="Abrupt learning of a delayed sum",
    claim=(
        "A recurrent network learns the adding problem at once: of the fall of its log loss below that of "
        "the best constant answer, more than half lies within a tenth of its training; and a penalty on the "
        "change of its hidden state brings that drop forward."
    ),
    source=(
        "Hochreiter & Schmidhuber 1997, adding problem; the penalty on the mean of |h(t+1) - h(t)|² in this "
        "lab's own form"
    ),
    dataset="delayed-addition",
    dataset_settings={"rows": 512, "steps": 20},
    model="gru",
    model_settings={"width": 32},
    arms=(Arm("plain", "RR"), Arm("consistent", "RR", training={"consistency": 1 / 32})),
    comparisons=(Comparison("consistent", "plain", "treatment"),),
    seeds=16,
    epochs=100,
    batch_size=64,
    optimizer="adam",
    lr=3e-3,
    clip_norm=1.0,
    evaluate_every=EVERY,
    expected_seconds=72,
)


def steepest(curve: Curve, plateau: float) -> tuple[float, float]:
    """Return the largest share of a log loss's fall within a tenth of training, and the middle of that tenth.

    Only the fall below the plateau counts. NaN where the loss never halves it: nothing was learned, neither
    at once nor slowly.

    Args:
        curve: loss of one run.
        plateau: loss of the best constant answer.
    """
    log = np.log(np.minimum(curve.values, plateau))
    width = max(round(WINDOW * (len(log) - 1)), 1)
    falls, whole = log[:-width] - log[width:], log[0] - log.min()
    if whole < np.log(2):
        return np.nan, np.nan
    at = int(falls.argmax())
    return float(falls[at] / whole), float(curve.steps[at + width // 2])


def _drops(runs: Evidence, arm: str) -> tuple[Values, Values]:
    plateau = float(runs.study.load().train_targets.var())
    found = {curve.seed: steepest(curve, plateau) for curve in runs.curves(RISK, arm)}
    pairs = np.array([found.get(seed, (np.nan, np.nan)) for seed in runs.seeds])
    return pairs[:, 0], pairs[:, 1]


def verdict(runs: Evidence) -> Verdict:
    """Judge how abrupt the drop is in the plain arm, and whether the penalty brings it forward."""
    shares, steps = _drops(runs, "plain")
    _, early = _drops(runs, "consistent")
    finished = [seed in {run.seed for run in runs.finished("plain")} for seed in runs.seeds]
    details = [
        compare(
            "plain, share of the fall of log loss within a tenth of training",
            shares,
            0.5,
            "above",
            0.0,
            "difference",
        ),
        compare("step of the drop, consistent / plain", early, steps, "below"),
        share("plain, share of seeds whose loss at least halves", ~np.isnan(shares[finished]), 0.5),
    ]
    return conclude(details, notes=runs.notes)
