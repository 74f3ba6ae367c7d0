"""How the step size changes over training, as a factor of the study's step size."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from engine.studies import Study


def constant(step: int, epoch: int, steps: int) -> float:
    """No change."""
    return 1.0


def stepwise(step: int, epoch: int, steps: int, every: int = 30, factor: float = 0.1) -> float:
    """Times `factor` after every `every` epochs."""
    return float(factor ** (epoch // every))


def cosine(step: int, epoch: int, steps: int, floor: float = 0.0) -> float:
    """From 1 to `floor` along half a cosine over all steps (Loshchilov & Hutter 2017, without restarts)."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * step / steps)) / 2


def polynomial(step: int, epoch: int, steps: int, power: float = 0.5, per: str = "epoch") -> float:
    """The number of the epoch (or step), counted from 1, to the minus `power`."""
    return float(((epoch if per == "epoch" else step) + 1) ** -power)


SCHEDULES: Mapping[str, Callable[..., float]] = {
    "constant": constant,
    "step": stepwise,
    "cosine": cosine,
    "polynomial": polynomial,
}
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "constant": {},
    "step": {"every": 30, "factor": 0.1},
    "cosine": {"floor": 0.0},
    "polynomial": {"power": 0.5, "per": "epoch"},
}


def schedule(study: Study) -> Callable[[int], float]:
    """Return the step size of a study of one arm as a function of the step, counted from 0.

    Raises:
        ValueError: a setting that the schedule does not have, or a value out of its range.
    """
    defaults = _DEFAULTS[study.schedule]
    settings = {**defaults, **study.schedule_settings}
    if unknown := sorted(set(settings) - set(defaults)):
        raise ValueError(
            f"`schedule_settings` of {study.schedule} must be among {sorted(defaults)}; got {unknown[0]}."
        )
    if settings.get("per", "epoch") not in ("epoch", "step"):
        raise ValueError(f"`per` must be epoch or step; got {settings['per']!r}.")
    if settings.get("every", 1) < 1:
        raise ValueError(f"`every` must be at least 1 epoch; got {settings['every']}.")
    factor, steps, warmup = SCHEDULES[study.schedule], study.steps, study.warmup_steps
    batches = steps // study.epochs

    def step_size(step: int) -> float:
        warm = min(1.0, (step + 1) / warmup) if warmup else 1.0
        return study.lr * factor(step, step // batches, steps, **settings) * warm

    return step_size
