"""What a study is: one model and data set, arms that differ in one respect, and a claim."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data.errors import LabError
from engine.datasets import dataset


@dataclass(frozen=True)
class Arm:
    """One condition of a study; its settings stand over the study's own.

    Attributes:
        name: what figures and commands call it.
        ordering: how its examples are ordered, a name of ``engine.training.orderings``.
        model: constructor arguments of the model that differ in this arm.
        ordering_settings: arguments of the ordering, for example RS2's ``fraction``.
    """

    name: str
    ordering: str
    model: Mapping[str, Any] = field(default_factory=dict)
    ordering_settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """Two arms that the study's claim sets against each other, paired by seed.

    Attributes:
        a: arm in the numerator of the ratio.
        b: arm in the denominator.
        role: ``"treatment"`` where the claim expects an effect, ``"control"`` where it expects none.
        least_ratio: ratio of the two arms, above 1, from which on a difference counts as an effect.
    """

    a: str
    b: str
    role: Literal["treatment", "control"]
    least_ratio: float = 1.1


@dataclass(frozen=True)
class Study:
    """A question put to many seeds at once.

    Attributes:
        name: also its file's name, with hyphens.
        title: a few words for cards and headings.
        claim: the sentence that the study tests.
        dataset: a name of ``engine.datasets``.
        model: a name of ``engine.models``.
        model_settings: constructor arguments of the model shared by all arms.
        arms: the conditions; their order fixes their colours.
        comparisons: which arms the claim compares.
        seeds: how many seeds are trained unless asked otherwise (0, 1, ..., seeds - 1).
        epochs: passes over the training rows.
        batch_size: examples a step; the last batch of an epoch may be smaller.
        lr: step size of SGD.
        momentum: heavy-ball momentum of SGD.
        weight_decay: L2 coefficient added to the gradient.
        dtype: ``"float32"`` or ``"float64"``, of weights, data and metrics.
        evaluate_every: steps between evaluations of risks and weight metrics.
    """

    name: str
    title: str
    claim: str
    dataset: str
    model: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...] = ()
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 16
    epochs: int = 100
    batch_size: int = 32
    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    dtype: Literal["float32", "float64"] = "float32"
    evaluate_every: int = 32

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if not names or len(set(names)) != len(names):
            raise ValueError(
                f"`arms` of {self.name} must be one or more, with names of their own; got {names}."
            )
        for comparison in self.comparisons:
            for arm in (comparison.a, comparison.b):
                if arm not in names:
                    raise ValueError(f"`comparisons` of {self.name} names no arm `{arm}`; it has {names}.")
        for name, (least, rule) in _RULES.items():
            value = getattr(self, name)
            if (
                not math.isfinite(value)
                or value < least
                or (least == 0 and rule == "more than 0" and value == 0)
            ):
                raise ValueError(f"`{name}` must be {rule}; got {value}.")
        if self.momentum >= 1:
            raise ValueError(f"`momentum` must be below 1; got {self.momentum}.")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"`dtype` must be float32 or float64; got {self.dtype!r}.")

    @property
    def steps(self) -> int:
        """Optimizer steps of one run: the epochs' batches, the same for every arm."""
        return self.epochs * -(-dataset(self.dataset).train_rows // self.batch_size)

    def arm(self, name: str) -> Arm:
        """Return the arm of that name.

        Raises:
            LabError: the study has no such arm.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise LabError(
            "Unknown arm",
            f"The study `{self.name}` has no arm `{name}`.",
            f"Choose from: {', '.join(arm.name for arm in self.arms)}.",
        )

    def model_of(self, arm: str) -> dict[str, Any]:
        """Return the constructor arguments of the model in an arm, the arm's own over the study's."""
        return dict(self.model_settings) | dict(self.arm(arm).model)

    def override(self, settings: Mapping[str, str]) -> "Study":
        """Return the study with some settings changed, under a name that says so.

        Runs of different settings never share a name, so they never share a mean.

        Args:
            settings: text values by setting, for example ``{"epochs": "20", "model.width": "128"}``.

        Raises:
            LabError: an unknown setting, or a value that the setting cannot take.
        """
        if not settings:
            return self
        changes: dict[str, Any] = {}
        model = dict(self.model_settings)
        for key, text in settings.items():
            if key.startswith("model.") and key[6:] in model:
                model[key[6:]] = _parse(key, text, type(model[key[6:]]))
            elif key in _SETTINGS:
                changes[key] = _parse(key, text, type(getattr(self, key)))
            else:
                known = [*_SETTINGS, *(f"model.{name}" for name in model)]
                raise LabError(
                    "Unknown setting",
                    f"The study `{self.name}` has no setting `{key}`.",
                    f"Settings that can be changed: {', '.join(known)}.",
                )
        chosen = {key: value for key, value in changes.items() if value != getattr(self, key)}
        chosen |= {f"model.{key}": value for key, value in model.items() if value != self.model_settings[key]}
        if not chosen:
            return self
        suffix = ",".join(f"{key}={chosen[key]}" for key in sorted(chosen))
        try:
            return dataclasses.replace(self, name=f"{self.name}@{suffix}", model_settings=model, **changes)
        except ValueError as error:
            raise LabError("Setting out of range", str(error), "Give a value within the range.") from error

    def config(self) -> dict[str, Any]:
        """Return the whole definition as JSON-able values, as the catalogue keeps it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Study":
        """Return the study that :meth:`config` described."""
        values = dict(config)
        values["arms"] = tuple(Arm(**arm) for arm in values["arms"])
        values["comparisons"] = tuple(Comparison(**item) for item in values["comparisons"])
        return cls(**values)


_RULES: dict[str, tuple[float, str]] = {
    "seeds": (1, "at least 1"),
    "epochs": (1, "at least 1"),
    "batch_size": (1, "at least 1"),
    "lr": (0, "more than 0"),
    "momentum": (0, "at least 0"),
    "weight_decay": (0, "at least 0"),
    "evaluate_every": (1, "at least 1"),
}
_SETTINGS = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "dtype", "evaluate_every")


def _parse(key: str, text: str, kind: type) -> Any:
    """Read one value of a setting from its text."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.strip().lower()]
        return kind(text)
    except (ValueError, KeyError) as error:
        raise LabError(
            "Setting not understood",
            f"`{key}` must be of type {kind.__name__}; got {text!r}.",
            f"For example --set {key}={'true' if kind is bool else 10 if kind is int else 0.1}.",
        ) from error
