"""Recycling dormant units while a perceptron is trained on noisy labels with a large step."""

from engine.studies._evidence import Evidence
from engine.studies._study import Arm, Comparison, Study
from engine.studies._verdict import Verdict, compare, conclude

STUDY = Study(
    name="dormant-redo",
    title="Dormant units and their recycling",
    claim=(
        "Adam with a large step leaves many units of a perceptron dormant; recycling them (ReDo) at least "
        "halves their share at the end of training and costs at most one point of test accuracy."
    ),
    source="Sokar, Agarwal, Castro & Evci 2023 (there deep reinforcement learning on Atari)",
    dataset="digits",
    model="mlp",
    model_settings={"width": 128, "depth": 3},
    arms=(Arm("plain", "RR"), Arm("ReDo", "RR", training={"redo_every": 150, "redo_threshold": 0.025})),
    comparisons=(Comparison("ReDo", "plain", "treatment"),),
    seeds=16,
    epochs=60,
    batch_size=32,
    optimizer="adam",
    lr=0.01,
    schedule="cosine",
    evaluate_every=64,
    expected_seconds=22,
)


def verdict(runs: Evidence) -> Verdict:
    """Judge the last tenth of training, paired by seed."""
    dormant = {arm: runs.ends("dormant_fraction", arm) for arm in ("ReDo", "plain")}
    accuracy = {arm: runs.ends("test_accuracy", arm) for arm in ("ReDo", "plain")}
    details = [
        compare("dormant fraction, plain", dormant["plain"], 0.0, "above", 0.1, "difference"),
        compare(
            "dormant fraction, ReDo - half of plain",
            dormant["ReDo"], dormant["plain"] / 2, "not above", 0.0, "difference",
        ),
        compare(
            "test accuracy, ReDo - plain",
            accuracy["ReDo"], accuracy["plain"], "not below", 0.01, "difference",
        ),
    ]  # fmt: skip
    return conclude(details, notes=runs.notes)
