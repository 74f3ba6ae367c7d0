"""What a study is: one model and data set, arms that differ in one respect, and a claim."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from data.errors import LabError
from engine.datasets import Dataset, Shape, Split, dataset
from engine.datasets._user_files import checksum
from engine.schedules import SETTINGS, settings_of
from engine.studies._model_settings import model_settings


@dataclass(frozen=True)
class Arm:
    """One condition of a study; its settings stand over the study's own.

    Attributes:
        name: what figures and commands call it.
        ordering: how its examples are ordered, a name of ``engine.training.orderings``.
        model: constructor arguments of the model that differ in this arm.
        ordering_settings: arguments of the ordering, for example RS2's ``fraction``.
        training: settings of the study that differ in this arm, for example ``{"optimizer": "adam"}``.
    """

    name: str
    ordering: str
    model: Mapping[str, Any] = field(default_factory=dict)
    ordering_settings: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


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
        dataset_settings: settings of the data set that differ from its defaults.
        arms: the conditions; their order fixes their colours.
        comparisons: which arms the claim compares.
        source: who made the claim.
        seeds: how many seeds are trained unless asked otherwise (0, 1, ..., seeds - 1).
        children: successive seeds that share initial weights: seed s begins as s // children would alone.
        epochs: passes over the training rows.
        batch_size: examples a step, the last batch of an epoch may be smaller; 0 for the full batch.
        optimizer: ``"sgd"``, ``"adam"`` or ``"adamw"``.
        lr: step size.
        momentum: heavy-ball momentum of SGD.
        nesterov: whether SGD's momentum looks ahead.
        beta1: decay of Adam's mean gradient.
        beta2: decay of Adam's mean squared gradient.
        weight_decay: L2 coefficient added to the gradient; of AdamW, decoupled from it.
        schedule: how the step size changes: ``"constant"``, ``"step"``, ``"cosine"`` or ``"polynomial"``.
        schedule_settings: its arguments, see ``engine.schedules``.
        warmup_steps: steps over which the step size first rises linearly.
        clip_norm: the largest norm of a replica's gradient, longer ones are shortened; 0 for none.
        label_noise: share of the training rows of a classification task that get a random wrong class.
        dtype: ``"float32"`` or ``"float64"``, of weights, data and metrics; ``"bfloat16"``: float32 weights,
            the training step under autocast.
        redo_every: steps between recyclings of dormant units (ReDo); 0 for none.
        redo_threshold: score up to which a unit counts as dormant for ReDo.
        consistency: weight of the penalty mean ||h_{t+1} - h_t||^2 on the states of a recurrent net, or 0.
        loss_bound: batch loss above which a replica counts as diverged; None for any finite loss.
        stop_below: metric to value: a run ends once the metric is at or below it.
        stop_above: metric to value: a run ends once the metric is at or above it.
        evaluate_every: steps between evaluations of risks and weight metrics.
        cadence: metric to steps between its evaluations, a multiple of `evaluate_every`; 0 for never. A
            metric that is not measured by default is measured where it is named here.
        per_layer: whether the metrics of weight matrices are kept for every layer too.
        checkpoints: steps, multiples of `evaluate_every`, at which every run's weights are kept; the last
            weights are always kept.
        expected_seconds: what a training at this size took on 2 CPU cores; None where not measured.
        expected_gpu_seconds: what it took on one GPU; None where not measured.
    """

    name: str
    title: str
    claim: str
    dataset: str
    model: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...] = ()
    source: str = ""
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    dataset_settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 16
    children: int = 1
    epochs: int = 100
    batch_size: int = 32
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 0.0
    schedule: Literal["constant", "step", "cosine", "polynomial"] = "constant"
    schedule_settings: Mapping[str, Any] = field(default_factory=dict)
    warmup_steps: int = 0
    clip_norm: float = 0.0
    label_noise: float = 0.0
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    redo_every: int = 0
    redo_threshold: float = 0.0
    consistency: float = 0.0
    loss_bound: float | None = None
    stop_below: Mapping[str, float] = field(default_factory=dict)
    stop_above: Mapping[str, float] = field(default_factory=dict)
    evaluate_every: int = 32
    cadence: Mapping[str, int] = field(default_factory=dict)
    per_layer: bool = False
    checkpoints: tuple[int, ...] = ()
    expected_seconds: float | None = None
    expected_gpu_seconds: float | None = None

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
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"`{name}` must be one of {', '.join(choices)}; got {getattr(self, name)!r}."
                )
        settings_of(self.schedule, self.schedule_settings)
        for name in ("label_noise", "beta1", "beta2"):
            if getattr(self, name) >= 1:
                raise ValueError(f"`{name}` must be below 1; got {getattr(self, name)}.")
        if self.loss_bound is not None and not self.loss_bound > 0:
            raise ValueError(f"`loss_bound` must be more than 0; got {self.loss_bound}.")
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` needs a `momentum` above 0; got 0.")
        for what, steps in (*self.cadence.items(), *((f"checkpoint {one}", one) for one in self.checkpoints)):
            if steps < 0 or steps % self.evaluate_every:
                raise ValueError(
                    f"`{what}` must be a multiple of `evaluate_every` = {self.evaluate_every}; got {steps}."
                )
        for one in self.arms:
            if unknown := sorted(set(one.training) - _OF_TRAINING):
                known = ", ".join(sorted(_OF_TRAINING))
                raise ValueError(f"`training` of {one.name} must be settings of {known}; got {unknown[0]}.")
            if one.training:
                self.of(one.name)

    @property
    def shape(self) -> Shape:
        """What models must know of the data set.

        Raises:
            LabError: an unknown data set, or a setting that it does not have.
        """
        described, settings = self._dataset()
        return described.shape(**settings)

    def load(self) -> Split:
        """Return the data set's split; may take a second.

        Raises:
            LabError: an unknown data set, or a setting that it does not have.
        """
        described, settings = self._dataset()
        return described.load(**settings)

    def data_checksum(self) -> str | None:
        """Return the SHA-256 of the user's files that the data set reads; None where it reads none.

        Raises:
            LabError: an unknown data set or setting, or a file that is not there.
        """
        described, settings = self._dataset()
        files = described.files(**settings)
        return checksum(files) if files else None

    def _dataset(self) -> tuple[Dataset, dict[str, Any]]:
        described = dataset(self.dataset)
        unknown = set(self.dataset_settings) - set(described.settings)
        if unknown:
            raise LabError(
                "Unknown setting of a data set",
                f"`{self.dataset}` has no setting `{sorted(unknown)[0]}`.",
                f"Its settings: {', '.join(described.settings) or 'none'}.",
            )
        return described, {**described.settings, **self.dataset_settings}

    @property
    def batch(self) -> int:
        """Examples a step: `batch_size`, or all training rows where it is 0."""
        return self.batch_size or self.shape.train_rows

    @property
    def steps(self) -> int:
        """Optimizer steps of a run, the batches of its epochs; of the longest arm where arms differ."""
        if len(self.arms) > 1:
            return max(self.of(arm.name).steps for arm in self.arms)
        alone = self.of(self.arms[0].name) if self.arms[0].training else self
        return alone.epochs * -(-alone.shape.train_rows // alone.batch)

    def of(self, arm: str) -> "Study":
        """Return the study of one arm alone, with the arm's settings in place of the study's.

        Raises:
            LabError: the study has no such arm.
        """
        chosen = self.arm(arm)
        return dataclasses.replace(
            self,
            arms=(dataclasses.replace(chosen, model={}, training={}),),
            comparisons=(),
            model_settings=self.model_of(arm),
            **chosen.training,
        )

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

    def settings(self) -> dict[str, Any]:
        """Return what `override` can change, with the present values; None where any value would do.

        What every arm sets for itself is left out.
        """
        groups: dict[str, Mapping[str, Any]] = {
            "model": {**model_settings(self.model), **self.model_settings},
            "dataset": {**dataset(self.dataset).settings, **self.dataset_settings},
            "schedule": {**SETTINGS.get(self.schedule, {}), **self.schedule_settings},
        }
        found = {key: getattr(self, key) for key in _SETTINGS}
        for group, values in groups.items():
            found |= {f"{group}.{name}": value for name, value in values.items()}
        return {key: value for key, value in found.items() if not self._set_by_every_arm(key)}

    def _set_by_every_arm(self, key: str) -> bool:
        group, _, name = key.rpartition(".")
        return all(
            name in (arm.model if group == "model" else {} if group else arm.training) for arm in self.arms
        )

    def override(self, settings: Mapping[str, str]) -> "Study":
        """Return the study with some settings changed, under a name that says so.

        Runs of different settings never share a name, so they never share a mean. Another model, data set or
        schedule comes with its own settings: the study's for the one before are dropped.

        Args:
            settings: text values by setting, for example ``{"epochs": "20", "model.width": "128"}``.

        Raises:
            LabError: an unknown setting, one that every arm sets for itself, or a value that the setting
                cannot take.
        """
        if not settings:
            return self
        changes: dict[str, Any] = {}
        for key in settings:
            if key in _SETTINGS:
                changes[key] = _parse(key, settings[key], _KINDS.get(key) or type(getattr(self, key)))
        groups = {}
        for group in ("model", "dataset", "schedule"):
            same = changes.get(group, getattr(self, group)) == getattr(self, group)
            groups[group] = dict(getattr(self, f"{group}_settings")) if same else {}
        known: dict[str, Mapping[str, Any]] = {
            "model": {**model_settings(changes.get("model", self.model)), **groups["model"]},
            "dataset": dataset(changes.get("dataset", self.dataset)).settings,
            "schedule": SETTINGS.get(changes.get("schedule", self.schedule), {}),
        }
        given: dict[str, Any] = {}
        for key in sorted(set(settings) - set(changes)):
            group, _, name = key.partition(".")
            # Of an unknown model nothing is known; that it is unknown is said where it would be built.
            if (
                not name
                or group not in known
                or (name not in known[group] and (group != "model" or known[group]))
            ):
                names = [*_SETTINGS, *(f"{group}.{name}" for group in known for name in known[group])]
                raise LabError(
                    "Unknown setting",
                    f"The study `{self.name}` has no setting `{key}`.",
                    f"Settings that can be changed: {', '.join(names)}.",
                )
            before = groups[group].get(name, known[group].get(name))
            value = _guess(settings[key]) if before is None else _parse(key, settings[key], type(before))
            if before is None or value != before:
                given[key] = groups[group][name] = value
        chosen = {key: value for key, value in changes.items() if value != getattr(self, key)} | given
        for key in chosen:
            if self._set_by_every_arm(key):
                raise LabError(
                    "A setting without effect",
                    f"Every arm of `{self.name}` sets `{key}` for itself, which stands over the study's.",
                    "Choose another setting, or write a study of your own with other arms.",
                )
        if not chosen:
            return self
        changes |= {f"{group}_settings": values for group, values in groups.items()}
        suffix = ",".join(f"{key}={chosen[key]}" for key in sorted(chosen))
        try:
            return dataclasses.replace(self, name=f"{self.name}@{suffix}", **changes)
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
        values["checkpoints"] = tuple(values.get("checkpoints", ()))
        return cls(**values)


_RULES: dict[str, tuple[float, str]] = {
    "seeds": (1, "at least 1"),
    "children": (1, "at least 1"),
    "epochs": (1, "at least 1"),
    "batch_size": (0, "at least 0 (0 for the full batch)"),
    "lr": (0, "more than 0"),
    "momentum": (0, "at least 0"),
    "weight_decay": (0, "at least 0"),
    "evaluate_every": (1, "at least 1"),
    "beta1": (0, "at least 0"),
    "beta2": (0, "at least 0"),
    "warmup_steps": (0, "at least 0"),
    "clip_norm": (0, "at least 0 (0 for none)"),
    "label_noise": (0, "at least 0"),
    "redo_every": (0, "at least 0 (0 for never)"),
    "redo_threshold": (0, "at least 0"),
    "consistency": (0, "at least 0"),
}
_CHOICES = {
    "optimizer": ("sgd", "adam", "adamw"),
    "schedule": ("constant", "step", "cosine", "polynomial"),
    "dtype": ("float32", "float64", "bfloat16"),
}
_OF_TRAINING = frozenset(
    {
        *(
            "epochs",
            "batch_size",
            "optimizer",
            "lr",
            "momentum",
            "nesterov",
            "beta1",
            "beta2",
            "weight_decay",
        ),
        *("schedule", "schedule_settings", "warmup_steps", "clip_norm", "label_noise", "loss_bound"),
        *("redo_every", "redo_threshold", "consistency", "evaluate_every", "cadence"),
    }
)
_SETTINGS = (
    *("epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "beta1", "beta2", "weight_decay"),
    *("schedule", "warmup_steps", "clip_norm", "label_noise", "loss_bound", "dtype", "evaluate_every"),
    *("redo_every", "redo_threshold", "consistency", "per_layer", "children", "model", "dataset"),
)
_KINDS = {"loss_bound": float}


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


def _guess(text: str) -> Any:
    """Read a value whose type is not known: a whole number, a number, true or false, or else a word."""
    for kind in (int, float, bool):
        try:
            return _parse("", text, kind)
        except LabError:
            continue
    return text.strip()
