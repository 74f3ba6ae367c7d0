"""Single Shuffle against Random Reshuffle on handwritten digits, with and without batch normalization."""

from engine.studies._reversal import reversal
from engine.studies._study import Arm, Comparison, Study

STUDY = Study(
    name="digits-shuffling",
    title="Shuffling handwritten digits",
    claim=(
        "With batch normalization, Single Shuffle ends at a lower risk on its own batches but a higher risk "
        "on the full batch than Random Reshuffle; without it the two risks are one, and the arms end within "
        "10 % of each other."
    ),
    source="Wu, Yun & Sra 2023; the setting is this lab's own",
    dataset="digits",
    model="linear-network",
    model_settings={"width": 64, "depth": 3, "norm": "batch"},
    arms=(
        Arm("SS", "SS"),
        Arm("RR", "RR"),
        Arm("SS no BN", "SS", {"norm": "none"}),
        Arm("RR no BN", "RR", {"norm": "none"}),
    ),
    comparisons=(Comparison("SS", "RR", "treatment"), Comparison("SS no BN", "RR no BN", "control")),
    seeds=16,
    epochs=200,
    batch_size=32,
    lr=0.1,
    evaluate_every=64,
    checkpoints=(0, 64, 128, 256, 512, 1024, 2048, 4096),
    expected_seconds=49,
)

verdict = reversal
