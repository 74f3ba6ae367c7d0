"""How the step size changes over training, as a factor of the study's step size."""

import math
from collections.abc import Callable, Mapping
from typing import Any


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
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "constant": {},
    "step": {"every": 30, "factor": 0.1},
    "cosine": {"floor": 0.0},
    "polynomial": {"power": 0.5, "per": "epoch"},
}
"""The settings of each schedule, with their defaults."""


def settings_of(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all settings of a schedule, those not given at their defaults.

    Raises:
        ValueError: a setting that the schedule does not have, or a value out of its range.
    """
    settings = {**SETTINGS[name], **given}
    if unknown := sorted(set(settings) - set(SETTINGS[name])):
        known = ", ".join(SETTINGS[name]) or "nothing"
        raise ValueError(f"`schedule_settings` of {name} must be of {known}; got {unknown[0]}.")
    if settings.get("per", "epoch") not in ("epoch", "step"):
        raise ValueError(f"`per` must be epoch or step; got {settings['per']!r}.")
    if settings.get("every", 1) < 1:
        raise ValueError(f"`every` must be at least 1 epoch; got {settings['every']}.")
    for one, most in (("factor", math.inf), ("power", math.inf), ("floor", 1.0)):
        if not 0 <= settings.get(one, 0) <= most or settings.get(one) == math.inf:
            rule = "from 0 to 1" if one == "floor" else "at least 0 and finite"
            raise ValueError(f"`{one}` must be {rule}; got {settings[one]}.")
    return settings


def schedule(
    name: str, given: Mapping[str, Any], lr: float, warmup_steps: int, steps: int, epochs: int
) -> Callable[[int], float]:
    """Return the step size as a function of the step, counted from 0.

    Args:
        name: of ``SCHEDULES``.
        given: its settings, as :func:`settings_of` takes them.
        lr: the step size that the schedule changes.
        warmup_steps: steps over which it first rises linearly.
        steps: of the whole training.
        epochs: of the whole training.
    """
    settings, factor, batches = settings_of(name, given), SCHEDULES[name], steps // epochs

    def step_size(step: int) -> float:
        warm = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
        return lr * factor(step, step // batches, steps, **settings) * warm

    return step_size
