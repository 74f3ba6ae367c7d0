"""What a person asks to be trained: read, checked against the study and the disk before anything is made."""

import math
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import LabError
from data.rows import JobRow
from engine.studies import Study, study

CHECKPOINT_SECONDS = 30.0
"""How often a training keeps what it needs to go on, unless asked otherwise."""

_LARGEST_SEED = 2**31 - 1
_FORMS = (
    "Give a number of seeds (16 trains seeds 0 to 15) or a range with both ends (4..7 trains 4, 5, 6 and 7)."
)

# Of a trace row: run, step, epoch and seconds take 28 bytes, and each of about 24 metric columns 4 or 8.
_KEY_BYTES, _COLUMNS = 28, 24
# Per layer, about 12 metrics of up to 20 layers; only evaluations have them, and gaps take next to nothing.
_LAYER_COLUMNS = 240
# While the last segments are merged, journal, segments and the merged file are on the disk together.
_COPIES = 3
_MARGIN_BYTES = 100 << 20


@dataclass(frozen=True)
class Request:
    """A training that can be started.

    Attributes:
        name: the study as it is defined, without changes.
        study: the study with its changed settings.
        arms: names of the arms to train, in the study's order.
        seeds: seeds to train in each arm.
        overrides: the changed settings, as text.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        checkpoint_seconds: how often what is needed to go on is kept; 0 for after every evaluation.
        compiled: whether torch compiles the training step.
        stack: how many replicas step together; 0 for as many as fits where it is trained.
    """

    name: str
    study: Study
    arms: tuple[str, ...]
    seeds: range
    overrides: dict[str, str]
    device: str
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    compiled: bool = False
    stack: int = 0

    @property
    def runs(self) -> int:
        """Number of runs."""
        return len(self.arms) * len(self.seeds)

    @property
    def spec(self) -> dict[str, Any]:
        """The job's specification, as ``engine.jobs.train`` reads it."""
        return {
            "study": self.name,
            "overrides": self.overrides,
            "arms": list(self.arms),
            "seeds": list(self.seeds),
            "device": self.device,
            "steps": self.study.steps,
            "checkpoint_seconds": self.checkpoint_seconds,
            "compiled": self.compiled,
            "stack": self.stack,
        }

    @property
    def command(self) -> str:
        """The command line that asks for it."""
        words = ["python", "-m", "engine", "train", self.name]
        first = self.seeds.start
        if self.seeds != range(self.study.seeds):
            words += ["--seeds", f"{first}..{self.seeds.stop - 1}" if first else f"{self.seeds.stop}"]
        if len(self.arms) < len(self.study.arms):
            words += ["--arms", ",".join(self.arms)]
        words += [] if self.device == "auto" else ["--device", self.device]
        words += ["--stack", str(self.stack)] if self.stack else []
        for key, value in self.overrides.items():
            words += ["--set", f"{key}={value}"]
        return shlex.join(words)

    @property
    def disk_bytes(self) -> int:
        """Disk space that it needs at its peak, in bytes; an upper estimate."""
        value = 8 if self.study.dtype == "float64" else 4
        steps = sum(self.study.of(arm).steps + 1 for arm in self.arms) * len(self.seeds)
        layers = steps // self.study.evaluate_every * _LAYER_COLUMNS * value if self.study.per_layer else 0
        return (steps * (_KEY_BYTES + _COLUMNS * value) + layers) * _COPIES


def request(
    name: str,
    overrides: Mapping[str, str] | None = None,
    arms: Sequence[str] | None = None,
    seeds: str | None = None,
    device: str = "auto",
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    compiled: bool = False,
    stack: int = 0,
) -> Request:
    """Return the training of a study, some of its arms and some seeds.

    Args:
        name: a study of ``engine.studies``.
        overrides: settings to change, as text.
        arms: names of arms; all when None.
        seeds: ``"16"`` or ``"4..7"``; as many as the study says when None.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        checkpoint_seconds: how often what is needed to go on is kept; 0 for after every evaluation.
        compiled: whether torch compiles the training step.
        stack: how many replicas step together, which their last bits depend on; 0 for as many as fits.

    Raises:
        LabError: an unknown study, arm, setting or device, seeds that cannot be read, or a number below 0.
    """
    overrides = dict(overrides or {})
    definition = study(name).override(overrides)
    chosen = {definition.arm(arm).name for arm in arms} if arms else {arm.name for arm in definition.arms}
    names = tuple(arm.name for arm in definition.arms if arm.name in chosen)
    which = range(definition.seeds) if seeds is None else read_seeds(seeds)
    if device not in ("auto", "cpu", "cuda"):
        raise LabError("Unknown device", f"There is no device `{device}`.", "Choose auto, cpu or cuda.")
    if not 0 <= checkpoint_seconds < math.inf:
        raise LabError(
            "Time out of range",
            f"`checkpoint_seconds` must be at least 0; got {checkpoint_seconds}.",
            "For example --checkpoint-seconds 30.",
        )
    if stack < 0:
        raise LabError(
            "Number out of range", f"`stack` must be at least 1; got {stack}.", "For example --stack 16."
        )
    return Request(name, definition, names, which, overrides, device, checkpoint_seconds, compiled, stack)


def read_seeds(text: str) -> range:
    """Return the seeds that ``N`` (0 to N - 1) or ``A..B`` (both included) stands for.

    Raises:
        LabError: any other text, an empty range, or seeds above 2^31 - 1.
    """
    parts = re.fullmatch(r"(?:([0-9]+)\.\.)?([0-9]+)", text.strip())
    if parts is None:
        raise LabError("Seeds not understood", f"`--seeds` must be N or A..B; got {text!r}.", _FORMS)
    if parts[1] is None:
        first, last = 0, int(parts[2]) - 1
    else:
        first, last = int(parts[1]), int(parts[2])
    if last < first:
        raise LabError("No seeds", f"`--seeds` must name at least one seed; got {text!r}.", _FORMS)
    if last > _LARGEST_SEED:
        raise LabError(
            "Seed too large", f"`--seeds` must stay at or below {_LARGEST_SEED}; got {text!r}.", _FORMS
        )
    return range(first, last + 1)


def require_space(wanted: Request, root: Path) -> None:
    """Refuse a training that the disk of the store has no room for.

    Raises:
        LabError: less space is free than its rows need at their peak, with a margin of 100 MiB.
    """
    there = next(folder for folder in (root.absolute(), *root.absolute().parents) if folder.exists())
    free, need = shutil.disk_usage(there).free, wanted.disk_bytes + _MARGIN_BYTES
    if free < need:
        raise LabError(
            "Too little disk space",
            f"{wanted.runs:,} runs of {wanted.study.steps:,} steps need up to {size_told(need)}; "
            f"`{there}` has {size_told(free)} free.",
            "Free some space, train fewer seeds or epochs, or put the store elsewhere with --store.",
        )


def measured_seconds(wanted: Request, jobs: Sequence[JobRow]) -> tuple[float, int] | None:
    """Return how long a training takes here, judged by the finished one of the study that is nearest in size.

    Args:
        wanted: the training.
        jobs: the store's jobs.

    Returns:
        Seconds, scaled by runs times steps, and the job that was measured; None when there is none of at
            least half and at most twice the size (a small stack says little about a large one).
    """
    size, nearest = wanted.runs * wanted.study.steps, None
    for job in jobs:
        if job.kind != "train" or job.status != "done" or job.spec.get("study") != wanted.name:
            continue
        if job.spec.get("resumed"):  # its last attempt alone lies between start and finish
            continue
        work = len(job.spec["seeds"]) * len(job.spec["arms"]) * job.spec.get("steps", 0)
        if job.started_at and job.finished_at and size / 2 <= work <= size * 2:
            seconds = (job.finished_at - job.started_at).total_seconds() * size / work
            distance = abs(math.log(work / size))
            if nearest is None or distance < nearest[0]:
                nearest = (distance, seconds, job.id)
    return None if nearest is None else nearest[1:]


def size_told(count: float) -> str:
    """Return a number of bytes in words, for example "1.2 GiB"."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"
