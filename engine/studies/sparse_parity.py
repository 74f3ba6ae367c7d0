"""A perceptron with one hidden layer learns a parity of three among many bits, first by heart."""

from engine.studies._grokking import grokking
from engine.studies._study import Arm, Study

STUDY = Study(
    name="sparse-parity",
    title="Grokking sparse parity",
    claim=(
        "A perceptron with one hidden layer trained with weight decay on 1,000 examples of a parity of 3 "
        "among 40 bits generalizes, and not before at least twice the steps that it takes to fit them."
    ),
    source="Barak et al. 2022; Merrill, Tsilivis & Shukla 2023",
    dataset="sparse-parity",
    model="mlp",
    model_settings={"width": 256, "depth": 1},
    arms=(Arm("SGD", "RR"),),
    seeds=16,
    epochs=400,
    batch_size=32,
    lr=0.1,
    weight_decay=0.01,
    evaluate_every=64,
    expected_seconds=32,
)

verdict = grokking
