"""A small transformer learns addition modulo a prime, first by heart."""

from engine.studies._grokking import grokking
from engine.studies._study import Arm, Study

STUDY = Study(
    name="modular-addition",
    title="Grokking modular addition",
    claim=(
        "A one-layer transformer trained with weight decay on 70 % of an addition table generalizes, and not "
        "before at least twice the steps that it takes to fit that part."
    ),
    source="Power et al. 2022; Nanda et al. 2023 (there p = 113, width 128, 30 % of the table)",
    dataset="modular-addition",
    dataset_settings={"p": 31, "train_share": 0.7},
    model="transformer",
    model_settings={"width": 32, "heads": 4, "hidden": 128},
    arms=(Arm("AdamW", "RR"),),
    seeds=12,
    epochs=3000,
    batch_size=0,
    optimizer="adamw",
    lr=3e-3,
    beta2=0.98,
    weight_decay=1.0,
    warmup_steps=10,
    evaluate_every=25,
    expected_seconds=98,
)

verdict = grokking
