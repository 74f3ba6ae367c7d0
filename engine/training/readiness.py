"""Refuses a training that could not begin, or that could not mean anything, before anything is written."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import nn

from data.errors import LabError
from engine.datasets._check import require_usable
from engine.metrics import metrics
from engine.models import build
from engine.models._batch_norm import BatchNorm
from engine.studies import Study
from engine.training.columns import rehearsed
from engine.training.loop import choose_device
from engine.training.measured import measured
from engine.training.memory import require_room
from engine.training.orderings import ordering
from engine.training.recycling import units_of
from engine.training.stack import visited


def require_trainable(
    study: Study, arms: Sequence[str], device: str, compiled: bool = False, seeds: int = 1
) -> None:
    """Refuse a training of so many seeds an arm that could not begin.

    Raises:
        LabError: an unknown device, data set, ordering, model or metric; settings that one of them does not
            take; data that are not finite or of one class; a batch that the data cannot fill, or of one
            example under batch normalization; a setting that this model or task has no use for; a metric that
            they do not have.
    """
    chosen = choose_device(device)
    if compiled:
        _require_compiler(chosen)
    for name in arms:
        alone = study.of(name)
        require_usable(alone.dataset, alone.load(), alone.shape, alone.dtype)
        with torch.device("meta"):
            model = build(alone.model, alone.shape, alone.model_settings)
        require_room(alone, model, seeds * len(arms), chosen)
        try:
            measured(alone)
            visited(study, study.arm(name))
        except (TypeError, ValueError) as error:
            raise LabError(
                "Settings refused", f"Arm `{name}` of `{study.name}`: {error}", "Mend this setting."
            ) from error
        _require_answers(alone, model)
        _require_batches(study, alone, model)
        _require_settings(alone, model)
    _require_metrics(study, arms)


def _require_compiler(device: torch.device) -> None:
    there = find_spec("triton") if device.type == "cuda" else shutil.which(os.environ.get("CXX", "g++"))
    if there is None:
        what = "Triton, which torch's CUDA wheels for Linux bring," if device.type == "cuda" else "g++"
        raise LabError(
            "No compiler", f"Compiling a step needs {what} and there is none.", "Leave out --compile."
        )


def _require_answers(alone: Study, model: nn.Module) -> None:
    """Refuse outputs of another shape than the targets: a loss may broadcast them and mean nothing."""
    shape, rows = alone.shape, 2
    kind = torch.float32 if shape.tokens is None else torch.int64
    with torch.no_grad():
        outputs = model(torch.empty(rows, *shape.inputs, dtype=kind, device="meta"))
    values = alone.load().train_targets.shape[1:] if shape.task == "values" else (shape.outputs,)
    given = tuple(outputs.shape[1:])
    if given != values:
        raise LabError(
            "Outputs that do not answer the targets",
            f"`{alone.model}` gives outputs of shape {given} an example, where `{alone.dataset}` asks for "
            f"{tuple(values)}.",
            "Choose another model or data set; of a recurrent model readout=all answers at every step and "
            "readout=last at the end.",
        )


def _require_metrics(study: Study, arms: Sequence[str]) -> None:
    """Refuse a metric that is asked for and not there: its column would stay empty, its rule never fire."""
    rules = {**dict.fromkeys(study.stop_below, "stop_below"), **dict.fromkeys(study.stop_above, "stop_above")}
    asking = {
        arm.name: {name for name, every in study.of(arm.name).cadence.items() if every} | rules.keys()
        for arm in study.arms
    }
    if not study.per_layer and not any(asking[name] for name in arms):
        return
    there = {name: set(rehearsed(study, name)) for name in arms}
    for metric in sorted(set[str]().union(*asking.values())):
        asked = [name for name, named in asking.items() if metric in named]
        lacking = [name for name in asked if metric not in there.get(name, {metric})]
        # What only some arms have leaves gaps in a column; a rule that never fires leaves a run without end.
        if lacking and (metric in rules or lacking == asked):
            alone, where = study.of(lacking[0]), rules.get(metric, "cadence")
            raise LabError(
                "A metric that cannot be measured",
                f"`{metric}`, which `{where}` of `{study.name}` names, needs {metrics()[metric].needs}; arm "
                f"`{lacking[0]}`, `{alone.model}` on `{alone.dataset}`, has none.",
                f"Leave `{metric}` out of `{where}`, or choose another model or data set.",
            )
    if study.per_layer and not any("/" in name for names in there.values() for name in names):
        raise LabError(
            "No metric of layers",
            f"`per_layer` is true, but `{study.name}` measures nothing that its layers have.",
            "Set per_layer to false, or measure a metric of weights, gradients or units.",
        )


def _require_batches(study: Study, alone: Study, model: nn.Module) -> None:
    rows = alone.shape.train_rows
    if alone.batch > rows:
        raise LabError(
            "The batch is larger than the data",
            f"`batch_size` is {alone.batch}, but `{alone.dataset}` has {rows} training rows.",
            f"Choose at most {rows}, or 0 for the full batch.",
        )
    seen = visited(study, study.arm(alone.arms[0].name))
    smallest = seen % alone.batch or min(alone.batch, seen)
    if smallest == 1 and any(isinstance(module, BatchNorm) for module in model.modules()):
        raise LabError(
            "Batch normalization of one example",
            f"With `batch_size` {alone.batch} an epoch of {seen} examples has a batch of 1, of variance 0.",
            "Choose a batch size that leaves no batch of 1, or a model without batch normalization.",
        )


def _require_settings(alone: Study, model: nn.Module) -> None:
    arm = alone.arms[0]
    if alone.label_noise and alone.shape.task == "values":
        raise LabError(
            "No labels to change",
            f"`label_noise` is {alone.label_noise:g}, but `{alone.dataset}` has values, not classes.",
            "Set label_noise to 0, or choose a classification data set.",
        )
    if alone.consistency and not isinstance(getattr(model, "trajectory", None), nn.Identity):
        raise LabError(
            "No hidden states over time",
            f"`consistency` is {alone.consistency:g}, but `{alone.model}` is no recurrent model.",
            "Set consistency to 0, or choose the model rnn or gru.",
        )
    if alone.redo_every and not units_of(model):
        raise LabError(
            "No units to recycle",
            f"`redo_every` is {alone.redo_every}, but `{alone.model}` says not which weights are a unit's.",
            "Set redo_every to 0, or choose the model mlp.",
        )
    twin = "lyapunov" in measured(alone)
    if twin and alone.dtype != "float64":
        raise LabError(
            "Not precise enough for a twin",
            f"`lyapunov` follows a difference of 1e-8, which {alone.dtype} cannot hold.",
            "Set dtype to float64.",
        )
    if twin and alone.redo_every:
        raise LabError(
            "A twin that is not recycled",
            f"`lyapunov` follows a small difference, large after ReDo every {alone.redo_every} steps.",
            "Set redo_every to 0, or leave out lyapunov.",
        )
    if ordering(arm.ordering).balance and alone.dtype == "bfloat16":
        raise LabError(
            "Not precise enough for balancing",
            f"{arm.ordering} compares sums of gradients of single examples, here in bfloat16.",
            "Set dtype to float32 or float64.",
        )
