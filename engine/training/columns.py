"""The columns that a training writes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from engine.metrics import metrics
from engine.studies import Study
from engine.training.device_data import DeviceData
from engine.training.record import Replica
from engine.training.stack import Stack

# A layer's name and which metrics a model has do not depend on the data: a few rows tell them.
_ROWS = 64


class Column(NamedTuple):
    """What a column of the traces is.

    Attributes:
        label: what axes and tables call it.
        unit: its unit, or "" where it has none.
        formula: how it is computed, in one line.
        source: who defined it.
        log: whether it is normally drawn on a logarithmic axis.
    """

    label: str
    unit: str
    formula: str
    source: str
    log: bool


BATCH_LOSS = Column(
    label="Batch loss",
    unit="nats",
    formula="mean loss of the batch of the step just taken, before its update",
    source="the usual definition",
    log=True,
)


def rehearsed(study: Study, arm: str) -> list[str]:
    """Return what can be measured in an arm of all that the study asks for: `metric` or `layer/metric`.

    One replica takes one step to tell which metrics its model and data have, and for which layers.
    """
    data, few = DeviceData.of(study.of(arm), torch.device("cpu")), max(_ROWS, study.of(arm).batch)
    some = DeviceData((data.train[0][:few], data.train[1][:few]), (data.test[0][:few], data.test[1][:few]))
    return list(Stack(study, {0: Replica(arm, 0)}, some).rehearse().columns)


def columns(study: Study, arms: Sequence[str]) -> dict[str, Column]:
    """Return every column that a training of these arms may write, by name."""
    known, values = metrics(), study.shape.task == "values"
    found = {"batch_loss": BATCH_LOSS._replace(unit="" if values else "nats")}
    names: dict[str, None] = {}
    for arm in arms:
        names |= dict.fromkeys(rehearsed(study, arm))
    for name in sorted(names, key=lambda name: (name.count("/"), list(known).index(name.rsplit("/")[-1]))):
        layer, _, metric = name.rpartition("/")
        told = known[metric]
        label = f"{told.label}, {layer}" if layer else told.label
        formula = f"of `{layer}` alone: {told.formula}" if layer else told.formula
        # Losses of values are in squared units of the targets, which have no name.
        unit = "" if values and told.unit == "nats" else told.unit
        found[name] = Column(label, unit, formula, told.source, told.log)
    return found
