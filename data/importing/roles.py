"""What columns of unknown logs most likely are, and how one says otherwise."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, get_args

from data.columns import RESERVED
from data.errors import LabError
from data.importers import Role
from data.importing.staged import Column, Shape

SEED_DIGITS = 18
"""That a seed may have: the catalogue holds 64 bits."""

ROLES: tuple[Role, ...] = get_args(Role)

_NAMES: dict[Role, tuple[str, ...]] = {
    "step": (
        "step", "_step", "global_step", "global step", "train/global_step", "trainer/global_step", "steps",
        "iteration", "iter", "iterations", "it", "update", "updates", "timestep", "timesteps",
        "total_timesteps", "num_timesteps", "env_step", "env_steps", "batch", "n_updates",
    ),
    "epoch": (
        "epoch", "epochs", "train/epoch", "_epoch",
    ),
    "seconds": (
        "seconds", "elapsed", "elapsed_seconds", "time_elapsed", "elapsed_time", "_runtime", "runtime",
        "relative time (process)",
    ),
    "time": (
        "timestamp", "_timestamp", "wall_time", "wall time", "walltime", "datetime", "date", "created_at",
    ),
    "run": (
        "run", "run_id", "run_name", "run name", "run id", "run_uuid", "trial", "trial_id", "experiment",
        "experiment_name", "runid",
    ),
    "arm": (
        "arm", "variant", "condition", "treatment", "algo", "algorithm", "method", "ordering", "optimizer",
        "model", "config", "group",
    ),
    "seed": (
        "seed", "random_seed", "rng_seed", "rng", "random seed",
    ),
    "metric": (
        "metric", "metric_name", "key", "tag", "variable", "measure", "name",
    ),
    "value": (
        "value", "metric_value", "val", "y",
    ),
}  # fmt: skip

NAMING = frozenset((*_NAMES["run"], *_NAMES["arm"]))
"""Names of columns that hold names."""

PARAMETERS: dict[Role, tuple[str, ...]] = {"arm": _NAMES["arm"][:4], "seed": _NAMES["seed"]}
"""Names of a run's parameters that tell its arm and seed. An optimizer, told of every run, makes no arm."""

_ONCE: tuple[Role, ...] = ("step", "epoch", "seconds", "time", "seed", "metric", "value")
"""Roles that one column of a table can have."""


class Choice(NamedTuple):
    """What a column is taken as: a role, or a metric under a name."""

    role: Role | None
    name: str = ""


@dataclass(frozen=True)
class Corrections:
    """What somebody said of columns and runs; everything else is guessed.

    Attributes:
        roles: role by column.
        names: a metric's name by column, or by the name that a long table gives it.
        runs: (arm, seed) by run name, as the plan calls it.
    """

    roles: Mapping[str, Role] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, words: Iterable[str], runs: Iterable[str] = ()) -> Self:
        """Read ``step=iteration``, ``skip=notes``, ``train_loss=loss`` and, of runs, ``NAME=ARM:SEED``.

        Raises:
            LabError: a word of another form, or one that contradicts another.
        """
        roles: dict[str, Role] = {}
        names: dict[str, str] = {}
        for word in words:
            left, equals, column = word.partition("=")
            if not equals or not left or not column or column in roles or column in names:
                raise LabError(
                    "Mapping not understood",
                    f"`{word}` does not map a column once.",
                    f"Write ROLE=COLUMN with a role among {', '.join(ROLES)}, or METRIC=COLUMN.",
                )
            if left in ROLES:
                roles[column] = left
            else:
                names[column] = left
        chosen: dict[str, tuple[str, int]] = {}
        for word in runs:
            name, equals, told = word.rpartition("=")
            arm, _, seed = told.rpartition(":")
            if not (name and equals and arm and seed.isdecimal() and len(seed) <= SEED_DIGITS):
                raise LabError(
                    "Run not understood",
                    f"`{word}` gives no arm and seed.",
                    f"Write NAME=ARM:SEED, with at most {SEED_DIGITS} digits.",
                )
            chosen[name] = (arm, int(seed))
        return cls(roles, names, chosen)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {
            "roles": dict(self.roles),
            "names": dict(self.names),
            "runs": {k: list(v) for k, v in self.runs.items()},
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        runs = {name: (str(arm), int(seed)) for name, (arm, seed) in told.get("runs", {}).items()}
        return cls(dict(told.get("roles", {})), dict(told.get("names", {})), runs)


def choose(shape: Shape, said: Corrections) -> list[Choice]:
    """Return what each column of a shape is: as said, as the format fixes, else as its name suggests.

    Columns without a number that have no other role are skipped.

    Raises:
        LabError: one role was given to two columns, or a role to a column that cannot have it.
    """
    there = {one.name for one in shape.columns}
    moved = {role for column, role in said.roles.items() if column in there and role in _ONCE}
    chosen: list[Role | None] = [
        said.roles.get(one.name, None if one.role in moved or one.name in said.names else one.role)
        for one in shape.columns
    ]
    taken = {role for role in chosen if role}
    long = {"metric", "value"} <= taken or _is_long(shape.columns, taken)
    for role, names in _NAMES.items():
        if role in taken or (role in ("metric", "value") and not long):
            continue
        for name in names:
            place = next((i for i, one in enumerate(shape.columns) if _plain(one.name) == name), None)
            if place is None or chosen[place] or shape.columns[place].name in said.names:
                continue
            if _suits(shape.columns[place], role):
                chosen[place] = role
                break
    for once in _ONCE:
        if chosen.count(once) > 1:
            both = [one.name for one, role in zip(shape.columns, chosen, strict=True) if role == once]
            raise LabError(
                "One role for two columns",
                f"Both `{both[0]}` and `{both[1]}` are `{once}`.",
                "Skip one of them.",
            )
    for column in shape.columns:
        wanted = said.roles.get(column.name)
        if wanted and not _suits(column, wanted):
            raise LabError(
                "A column cannot be that",
                f"`{column.name}` cannot be `{wanted}`: {_content(column)}.",
                "Map another column.",
            )
    return [
        Choice(role)
        if role
        else Choice(None, said.names.get(column.name, column.name))
        if column.kind == "number"
        else Choice("skip")
        for column, role in zip(shape.columns, chosen, strict=True)
    ]


def _is_long(columns: Sequence[Column], taken: set[Role]) -> bool:
    """Whether rows name their metric: a column of names, one of values, and no further numbers but places."""
    plain = {_plain(one.name): one for one in columns}
    names = [plain[name] for name in _NAMES["metric"] if name in plain]
    values = [plain[name] for name in _NAMES["value"] if name in plain]
    if "metric" not in taken and not any(one.kind == "text" for one in names):
        return False
    if "value" in taken or not any(one.kind == "number" for one in values):
        return "value" in taken
    if names != [plain.get("name")] and plain.keys() & {"value", "metric_value"}:
        return True  # beside these words further numbers do not matter
    places = {name for role, each in _NAMES.items() if role not in ("metric", "value") for name in each}
    others = [one for name, one in plain.items() if name not in places and one not in (*names, *values)]
    return not any(one.kind == "number" for one in others)


def _suits(column: Column, role: Role) -> bool:
    """Whether the content of a column can be of a role."""
    if role in ("step", "seed"):
        return column.kind == "number" and column.whole and (role == "step" or (column.low or 0) >= 0)
    if role in ("epoch", "seconds", "value"):
        return column.kind == "number"
    if role == "metric":
        return column.kind == "text"
    if role == "arm":
        return column.kind == "text" or (column.kind == "number" and column.whole)
    return column.kind != "empty" or role == "skip"


def _content(column: Column) -> str:
    if column.kind == "empty":
        return "it is empty"
    if column.kind == "text":
        return f"it holds text, first {column.text}"
    return (
        "not all its numbers are whole and from 0"
        if not column.whole or (column.low or 0) < 0
        else "it holds numbers"
    )


def _plain(name: str) -> str:
    return name.strip().lower()


def metric_names(names: Iterable[str]) -> dict[str, str]:
    """Return the store's name of each metric: its own, unless that is reserved or differs by case only.

    Values are unique without regard to case.
    """
    given: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        wanted = name.replace("\0", "").strip() or "metric"
        if wanted.lower() in RESERVED:
            wanted = f"{wanted}_"
        free, number = wanted, 2
        while free.lower() in taken:
            free, number = f"{wanted} ({number})", number + 1
        given[name] = free
        taken.add(free.lower())
    return given


SAME_AS: dict[str, tuple[str, ...]] = {
    "train_loss": (
        "train/loss", "train loss", "training_loss", "loss", "loss/train", "train_loss_step",
        "train/train_loss",
    ),
    "test_loss": (
        "val_loss", "valid_loss", "validation_loss", "val/loss", "eval_loss", "eval/loss", "test/loss",
        "loss/val", "loss/test", "validation/loss",
    ),
    "train_accuracy": (
        "accuracy", "acc", "train_acc", "train/accuracy", "train/acc", "accuracy/train",
        "training_accuracy",
    ),
    "test_accuracy": (
        "val_accuracy", "val_acc", "valid_acc", "validation_accuracy", "val/accuracy", "val/acc",
        "eval_accuracy", "test_acc", "test/accuracy", "eval/accuracy", "accuracy/val", "accuracy/test",
    ),
    "gradient_norm": (
        "grad_norm", "train/grad_norm", "gradient norm", "grad/norm",
    ),
    "l2": (
        "weight_norm", "param_norm", "weights/l2",
    ),
}  # fmt: skip
"""The lab's name of a metric, and how others call it."""


def lab_name(name: str) -> str | None:
    """Return what the lab calls a metric that others call `name`; None where it has no name for it."""
    plain = re.sub(r"\s+", " ", _plain(name))
    return next((lab for lab, others in SAME_AS.items() if plain in others), None)
