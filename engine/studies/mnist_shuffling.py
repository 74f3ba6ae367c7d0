"""Single Shuffle against Random Reshuffle on MNIST images, with and without batch normalization."""

import dataclasses

from engine.studies._evidence import Evidence
from engine.studies._reversal import FULL, OWN
from engine.studies._verdict import Verdict, compare, conclude
from engine.studies.digits_shuffling import STUDY as DIGITS

STUDY = dataclasses.replace(
    DIGITS,
    name="mnist-shuffling",
    title="Shuffling MNIST",
    claim=(
        "On 4,000 images of MNIST as on digits: with batch normalization, Single Shuffle ends at a lower "
        "risk on its own batches but a higher risk on the full batch than Random Reshuffle; without it "
        "there is no reversal: the arms differ alike on both risks."
    ),
    dataset="mnist-5k",
    seeds=8,
    epochs=60,
    lr=0.01,
    evaluate_every=250,
    checkpoints=(0, 250, 500, 1000, 2000, 4000),
    expected_seconds=115,
    expected_gpu_seconds=None,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge the last tenth of training.

    Unlike on digits the arms without normalization do not end close together: the loss still falls, and one
    order is ahead of the other. What sets a reversal apart is that the two risks disagree on by how much.
    """
    own = {arm.name: runs.ends(OWN, arm.name) for arm in runs.study.arms}
    full = {arm.name: runs.ends(FULL, arm.name) for arm in runs.study.arms}
    details = [
        compare("own-batch risk, SS / RR", own["SS"], own["RR"], "below"),
        compare("full-batch risk, SS / RR", full["SS"], full["RR"], "above"),
        compare(
            "no BN, SS / RR on own-batch risk over SS / RR on full-batch risk",
            own["SS no BN"] / own["RR no BN"], full["SS no BN"] / full["RR no BN"], "same",
        ),
    ]  # fmt: skip
    beside = compare("no BN, full-batch risk, SS / RR", full["SS no BN"], full["RR no BN"], "same")
    return conclude(details, notes=[f"{beside.told}.", *runs.notes])
