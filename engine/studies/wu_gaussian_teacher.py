"""Single Shuffle and Random Reshuffle on separable Gaussian data with batch normalization."""

from engine.studies._evidence import Evidence
from engine.studies._growth import slopes
from engine.studies._study import Arm, Study
from engine.studies._verdict import Verdict, compare, conclude

RISK = "full_batch_risk"
EVERY = 40

STUDY = Study(
    name="wu-gaussian-teacher",
    title="A Gaussian teacher, in one order and in many",
    claim=(
        "Logistic regression on 32 batch-normalized Gaussian inputs labelled by a teacher, eight a batch: "
        "Single Shuffle ends at a higher full-batch risk than Random Reshuffle, and its risk grows with the "
        "logarithm of time while that of Random Reshuffle does not."
    ),
    source="Wu, Yun & Sra 2023, section 6 (n, d, B = 32, 16, 8)",
    dataset="gaussian-teacher",
    dataset_settings={"rows": 32, "features": 16},
    model="linear-network",
    model_settings={"depth": 0, "normalize_inputs": True, "affine": "scale", "bias": False, "eps": 0.0},
    arms=(Arm("SS", "SS"), Arm("RR", "RR")),
    seeds=32,
    epochs=1000,
    batch_size=8,
    lr=0.1,
    dtype="float64",
    evaluate_every=EVERY,
    checkpoints=(0, *(EVERY * 2**k for k in range(7))),
    expected_seconds=7,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge the last tenth of training and the growth over its last half."""
    details = [
        compare("full-batch risk, SS / RR", runs.ends(RISK, "SS"), runs.ends(RISK, "RR"), "above"),
        compare(
            "growth of full-batch risk with ln(step), SS",
            slopes(runs, RISK, "SS"), 0.0, "above", 0.0, "difference",
        ),
        compare(
            "growth of full-batch risk with ln(step), RR",
            slopes(runs, RISK, "RR"), 0.0, "not above", 0.05, "difference",
        ),
    ]  # fmt: skip
    levels = "; ".join(
        compare(f"{arm} ends at", runs.ends(RISK, arm), 0.0, "above", 0.0, "difference").told
        for arm in ("SS", "RR")
    )
    return conclude(details, notes=[f"{levels} nats.", *runs.notes])
