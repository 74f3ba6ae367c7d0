"""Single Shuffle against Random Reshuffle on MNIST images, with and without batch normalization."""

from engine.studies._reversal import reversal
from engine.studies._study import Arm, Comparison, Study

STUDY = Study(
    name="mnist-shuffling",
    title="Shuffling MNIST",
    claim=(
        "On 4,000 images of MNIST as on digits: with batch normalization, Single Shuffle ends at a lower "
        "risk on its own batches but a higher risk on the full batch than Random Reshuffle; without it the "
        "arms end within 10 % of each other."
    ),
    source="Wu, Yun & Sra 2023; the setting is this lab's own",
    dataset="mnist-5k",
    model="linear-network",
    model_settings={"width": 64, "depth": 3, "norm": "batch"},
    arms=(
        Arm("SS", "SS"),
        Arm("RR", "RR"),
        Arm("SS no BN", "SS", {"norm": "none"}),
        Arm("RR no BN", "RR", {"norm": "none"}),
    ),
    comparisons=(Comparison("SS", "RR", "treatment"), Comparison("SS no BN", "RR no BN", "control")),
    seeds=8,
    epochs=60,
    batch_size=32,
    lr=0.05,
    evaluate_every=250,
)

verdict = reversal
