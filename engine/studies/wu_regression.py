"""Where Single Shuffle and Random Reshuffle end on normalized least squares."""

from engine.studies._evidence import Evidence
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude

WITHIN = {"SS": 0.002, "RR": 0.02}
OWN, RESHUFFLED = "distance_to_own_optimum", "distance_to_reshuffled_optimum"
EVERY = 160

STUDY = Study(
    name="wu-regression",
    title="Distorted optima of normalized regression",
    claim=(
        "Least squares on batch-normalized inputs, step 0.03 / k^0.6: after 1,000 epochs Single Shuffle "
        "stands at the optimum of its own batches (relative distance at most 0.002) and Random Reshuffle at "
        "that of all batches (at most 0.02), and each far from the other's."
    ),
    source="Wu, Yun & Sra 2023, section 4 (n = 64, d = 10, B = 4)",
    dataset="gaussian-regression",
    dataset_settings={"rows": 64, "features": 10},
    model="linear-network",
    model_settings={"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False, "eps": 0.0},
    arms=(Arm("SS", "SS"), Arm("RR", "RR")),
    seeds=16,
    epochs=1000,
    batch_size=4,
    lr=0.03,
    schedule="polynomial",
    schedule_settings={"power": 0.6},
    dtype="float64",
    evaluate_every=EVERY,
    checkpoints=(0, *(EVERY * 2**k for k in range(7))),
    cadence={OWN: EVERY, RESHUFFLED: EVERY, "distance_to_full_optimum": EVERY},
    expected_seconds=24,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge where both arms stand after their last step."""
    end = 1e-9
    details = []
    for arm, near, far in (("SS", OWN, RESHUFFLED), ("RR", RESHUFFLED, OWN)):
        at, away = runs.ends(near, arm, end), runs.ends(far, arm, end)
        there = "own" if near == OWN else "reshuffled"
        details += [
            compare(
                f"{arm}, distance to the {there} optimum", at, 0.0, "not above", WITHIN[arm], "difference"
            ),
            compare(f"{arm}, that over the distance to the other optimum", at, away, "below", 2.0),
        ]
    return conclude(details, notes=runs.notes)
