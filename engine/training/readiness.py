"""Refuses a training that could not begin, or that could not mean anything, before anything is written."""

import os
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import nn

from data.errors import LabError
from engine.datasets._check import require_usable
from engine.models import build
from engine.models._batch_norm import BatchNorm
from engine.studies import Study
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
            example under batch normalization; a setting that this model or task has no use for.
    """
    chosen = choose_device(device)
    if compiled:
        _require_compiler(chosen)
    for name in arms:
        alone = study.of(name)
        require_usable(alone.dataset, alone.load(), alone.shape)
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
