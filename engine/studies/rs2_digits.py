"""Training on a fresh random tenth of the data each round, against training on all of it.

Where 1 / fraction is whole, as here, ten rounds of RS2 without replacement visit every row once and then
shuffle anew: with as many steps it is Random Reshuffle under another name, but for the cut of its batches.
That half of the claim is nearly true by construction: it tests the implementation more than subsets.
"""

from engine.studies._evidence import Evidence
from engine.studies._study import Arm, Comparison, Study
from engine.studies._verdict import Verdict, compare, conclude

ROUNDS, TENTH = 100, 10
BY_CONSTRUCTION = (
    "The comparison in as many steps is nearly equal by construction: ten tenths without replacement are one "
    "reshuffled pass over the data."
)

STUDY = Study(
    name="rs2-digits",
    title="A tenth of the data each round",
    claim=(
        "Repeated random subsets of 10 % reach, in as many rounds and so with a tenth of the steps, a test "
        "accuracy at most one point below that of the full data; in as many steps, at most half a point "
        "(nearly true by construction: ten subsets without replacement are one pass over the data)."
    ),
    source="Okanovic et al. 2023, RS2 without replacement",
    dataset="digits",
    model="mlp",
    model_settings={"width": 128, "depth": 2},
    arms=(
        Arm("full data", "RR"),
        Arm("RS2 10 %, same rounds", "RS2", training={"epochs": ROUNDS // TENTH}),
        Arm("RS2 10 %, same steps", "RS2"),
    ),
    comparisons=(
        Comparison("RS2 10 %, same rounds", "full data", "treatment"),
        Comparison("RS2 10 %, same steps", "full data", "control"),
    ),
    seeds=16,
    epochs=ROUNDS,
    batch_size=34,
    lr=0.05,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="cosine",
    evaluate_every=62,
    expected_seconds=40,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge test accuracy at the end, paired by seed."""
    full = runs.ends("test_accuracy", "full data", 1e-9)
    details = [
        compare(
            f"test accuracy, {arm} - full data",
            runs.ends("test_accuracy", arm, 1e-9), full, "not below", margin, "difference",
        )
        for arm, margin in (("RS2 10 %, same rounds", 0.01), ("RS2 10 %, same steps", 0.005))
    ]  # fmt: skip
    return conclude(details, notes=[BY_CONSTRUCTION, *runs.notes])
