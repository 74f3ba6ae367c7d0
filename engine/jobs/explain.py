"""The job that looks at the kept weights of a study's runs and says what their data orders do to them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data import checkpoints
from data.analyses import save
from data.errors import LabError
from data.rows import CheckpointRow, RunRow
from data.store import Store
from engine.analysis.shuffling import Separability, remarks
from engine.analysis.shuffling.contrast import Contrast
from engine.analysis.shuffling.explanation import Explained, to_record
from engine.jobs.explain_request import KIND, ExplainRequest, explain_request, stored
from engine.jobs.progress import Ending, Progress
from engine.models import build
from engine.models._batch_norm import BatchNorm
from engine.models.linear_network import LinearNetwork
from engine.schedules import schedule
from engine.studies import Study
from engine.training.last_features import LastFeatures, LastLayer
from engine.version import code_version

CLASSES_FROM = 8
"""Runs of each arm by which the two classes are chosen that are told apart worst."""


class _Kept(NamedTuple):
    """The weights of one run at one step, and where they are."""

    run: RunRow
    step: int
    file: CheckpointRow
    at: int


def run(store: Store, job_id: int, progress: Progress) -> Ending:
    """Explain what the job's specification says, unless the very same explanation is kept already.

    Args:
        store: where the runs and their weights are and the result is kept.
        job_id: a job whose spec holds the fields of an ``ExplainRequest``.
        progress: told after every run's checkpoint; True stops the job.

    Returns:
        ``"done"`` with the number of the analysis, or ``"stopped"`` with nothing kept.

    Raises:
        LabError: a study, arm or class that is not there, no weights, or networks without a linear read-out.
    """
    wanted = explain_request(store, **store.catalog.job(job_id).spec)
    data_version = store.traces.version(wanted.study)
    row = stored(store, wanted, data_version)
    if row is not None:
        return Ending("done", {"analysis": row.id, "explained": False})
    found = _Explanation(store, wanted).made(progress)
    if found is None:
        return Ending("stopped", {})
    summary, arrays = found
    row = save(
        store, wanted.study, KIND, wanted.spec, summary, arrays, code_version(), data_version, wanted.seed,
        job_id,
    )  # fmt: skip
    return Ending("done", {"analysis": row.id, "explained": True})


class _Explanation:
    """One pass over the kept weights of a study."""

    def __init__(self, store: Store, wanted: ExplainRequest) -> None:
        self._store, self._wanted = store, wanted
        self._study = Study.from_config(store.catalog.study(wanted.study).config)
        self._loaded: tuple[int, Mapping[str, np.ndarray]] | None = None
        self._splits = dict[int, tuple[np.ndarray, Separability]]()
        self._kept = self._find()
        arms = dict.fromkeys(one.run.arm for one in self._kept)
        self._layers = {arm: LastLayer(self._study, arm) for arm in arms}

    def made(self, progress: Progress) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return the record; None when asked to stop."""
        runs = list({one.run.id: one.run for one in self._kept}.values())
        position = {run.id: at for at, run in enumerate(runs)}
        classes = self._classes()
        each, lost = list[Explained](), list[dict[str, Any]]()
        for done, one in enumerate(self._kept):
            message = f"{self._wanted.study}, {one.run.arm}, step {one.step:,}"
            if progress(done, len(self._kept), message):
                return None
            weights = self._weights(one)
            if all(np.isfinite(tensor).all() for tensor in weights.values()):
                found = self._layers[one.run.arm].at(one.run.seed, weights)
                each.append(self._explained(found, one, position[one.run.id], classes))
            else:
                lost.append({"arm": one.run.arm, "seed": one.run.seed, "step": one.step})
        if not each:
            raise LabError(
                "Nothing to explain",
                f"No weights of `{self._wanted.study}` are finite.",
                "Train it with a smaller step size.",
            )
        rest = self._one_against_rest()
        progress(len(self._kept), len(self._kept), self._wanted.study)
        summary, arrays = to_record(each)
        task = self._study.shape.task
        steps = sorted({one.step for one in each})
        summary |= {
            "task": task,
            "classes": [1, -1] if task == "signs" else list(classes or ()),
            "arms": list(self._layers),
            "runs": [{"run": run.id, "arm": run.arm, "seed": run.seed} for run in runs],
            "steps": steps,
            "not_finite": lost,
            "one_against_rest": rest,
            "notes": {arm: list(_notes(self._study, arm)) for arm in self._layers},
        }
        return summary, arrays

    def _find(self) -> list[_Kept]:
        """Return the kept weights of the wanted runs, arm by arm and step by step."""
        study, wanted = self._wanted.study, self._wanted
        runs = [
            run
            for run in self._store.catalog.runs(study, archived=True)
            if run.arm in wanted.arms and run.seed in wanted.seeds
        ]
        found = dict[tuple[int, int], _Kept]()
        by_id = {run.id: run for run in runs}
        for job in sorted({run.job for run in runs}):
            for row in self._store.catalog.checkpoints(job, "weights"):
                for at, id in enumerate(row.runs):
                    if id in by_id:  # of weights kept twice at a step the later count
                        found[id, row.step] = _Kept(by_id[id], row.step, row, at)
        if not found:
            raise LabError(
                "No weights were kept",
                f"The runs of `{study}` have none in this store.",
                f"They are kept when a training ends; train again: python -m engine train "
                f"{study.partition('@')[0]}.",
            )
        place = {arm: at for at, arm in enumerate(wanted.arms)}
        return sorted(found.values(), key=lambda one: (place[one.run.arm], one.step, one.run.seed))

    def _weights(self, one: _Kept) -> dict[str, np.ndarray]:
        if self._loaded is None or self._loaded[0] != one.file.id:
            self._loaded = one.file.id, checkpoints.load(self._store, one.file)
        return {name: tensor[one.at] for name, tensor in self._loaded[1].items()}

    def _last(self) -> Iterator[_Kept]:
        """Return the last kept weights of every run, if they are finite."""
        last = {one.run.id: one for one in self._kept}
        for one in last.values():
            if all(np.isfinite(tensor).all() for tensor in self._weights(one).values()):
                yield one

    def _classes(self) -> tuple[int, int] | None:
        """Return the two classes to tell apart; None where the targets are no classes."""
        shape = self._study.shape
        if shape.task != "classes":
            if self._wanted.classes:
                raise LabError(
                    "No classes to choose",
                    f"`{self._wanted.study}` has {shape.task} as targets.",
                    "Leave the classes out.",
                )
            return None
        if self._wanted.classes:
            first, second = self._wanted.classes
            if max(first, second) >= shape.outputs:
                raise LabError(
                    "Unknown class",
                    f"`{self._wanted.study}` has classes 0 to {shape.outputs - 1}; got {max(first, second)}.",
                    "Choose two of them.",
                )
            return first, second
        whole, seen = np.zeros((shape.outputs, shape.outputs)), dict[str, int]()
        for one in self._last():
            seen[one.run.arm] = seen.get(one.run.arm, 0) + 1
            if seen[one.run.arm] <= CLASSES_FROM:
                whole += self._layers[one.run.arm].at(one.run.seed, self._weights(one)).confusion()
        mixed = np.triu(whole + whole.T, 1)
        return divmod(int(mixed.argmax()), len(mixed))

    def _explained(
        self, found: LastFeatures, one: _Kept, position: int, classes: tuple[int, int] | None
    ) -> Explained:
        risks, distances = found.risks(), found.distances()
        if found.task == "values":
            return Explained(position, one.step, risks, distances, None, None, float("nan"), None)
        two = found.contrast(*(classes or ()))
        split = self._split(position, two)
        told = two.told(split, _time(self._study.of(one.run.arm), one.step))
        epoch = len(two.full.targets) if found.fixed or not found.exact else len(two.own.targets)
        picture = two.picture(epoch) if two.direction.any() else None
        return Explained(position, one.step, risks, distances, split, told, two.alignment(split), picture)

    def _split(self, position: int, two: Contrast) -> Separability:
        """Return the split of a run's own batches, which is the last one's where no layer below has moved."""
        before = self._splits.get(position)
        if before is None or not np.array_equal(before[0], two.own.features):
            self._splits[position] = before = two.own.features, two.split()
        return before[1]

    def _one_against_rest(self) -> list[dict[str, Any]]:
        """Return the verdict on each class against all others, of the first seed of each arm at its end."""
        if self._study.shape.task != "classes":
            return []
        found, arms = list[dict[str, Any]](), set[str]()
        for one in self._last():
            if one.run.arm in arms:
                continue
            arms.add(one.run.arm)
            last = self._layers[one.run.arm].at(one.run.seed, self._weights(one))
            time = _time(self._study.of(one.run.arm), one.step)
            for label, (split, told) in last.verdicts(time).items():
                found.append(
                    {
                        "arm": one.run.arm, "seed": one.run.seed, "step": one.step, "class": label,
                        "kind": told.kind, "separable": float(split.separable.mean()),
                        "margin": split.margin, "misclassified": float(told.misclassified.mean()),
                        "complete": split.certificate.complete, "caution": told.caution,
                    }
                )  # fmt: skip
        return found


def _time(alone: Study, step: int) -> float | None:
    """Return the sum of step sizes up to a step of gradient descent; None of other optimizers."""
    if alone.optimizer != "sgd":
        return None
    size = schedule(
        alone.schedule, alone.schedule_settings, alone.lr, alone.warmup_steps, alone.steps, alone.epochs
    )
    return float(sum(map(size, range(step)))) / (1 - alone.momentum)


def _notes(study: Study, arm: str) -> Sequence[str]:
    """Return what normalization leaves of an arm's data, and where the theory is another's."""
    alone = study.of(arm)
    split, shape = study.load(), study.shape
    model = build(alone.model, shape, alone.model_settings)
    inputs = split.train_inputs.reshape(shape.train_rows, -1)
    normalized = isinstance(model, LinearNetwork) and model.normalize_inputs
    labels = split.train_targets if shape.task == "signs" else None
    notes = list[str]()
    if any(isinstance(part, BatchNorm) for part in model.modules()):
        eps = model.eps if isinstance(model, LinearNetwork) else 1.0
        notes += remarks(inputs if normalized else inputs[:, :0], alone.batch, eps, labels)
    else:
        notes.append("Without batch normalization no order moves what the read-out sees.")
    if alone.optimizer != "sgd":
        notes.append(
            f"The predicted direction is that of gradient descent; these runs had {alone.optimizer}."
        )
    return notes
