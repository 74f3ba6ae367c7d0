"""What a training writes down before it begins: its study, what its columns mean, how each run is trained."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from data.errors import LabError
from data.rows import MetricRow
from data.store import Store
from engine.studies import Arm, Study

# Words about a study, and how much of it is trained or how fast: not what a run of it is.
_WORDS = frozenset(
    {
        *("title", "claim", "source", "seeds", "comparisons", "checkpoints"),
        *("expected_seconds", "expected_gpu_seconds"),
    }
)
_ALWAYS = ("dataset", "model", "epochs", "batch_size", "optimizer", "lr", "dtype", "evaluate_every")
_NESTED = {
    "model_settings": "model",
    "dataset_settings": "dataset",
    "schedule_settings": "schedule",
    "stop_below": "stop_below",
    "stop_above": "stop_above",
}


def require_same(store: Store, wanted: Study) -> None:
    """Refuse to mix runs of two definitions under one name, and so in one mean.

    A setting that a definition kept by an older version does not name had its present default then.

    Raises:
        LabError: the store holds runs of a study of this name with other settings, or of data files that
            had another content.
    """
    if not any(row.name == wanted.name for row in store.catalog.studies()):
        return
    new = _whole(wanted.config())
    old = _whole(store.catalog.study(wanted.name).config)
    changed = sorted(key for key in new if key not in _WORDS and new[key] != old.get(key))
    runs = store.catalog.runs(wanted.name, archived=True)
    if changed and runs:
        raise LabError(
            "The study was changed",
            f"The store holds runs of `{wanted.name}` with another {', '.join(changed)}.",
            "Give the changed study a name of its own, or train it into another store with --store.",
        )
    found = wanted.data_checksum()
    for job in sorted({run.job for run in runs}):
        before = store.catalog.job(job).spec.get("data_sha256", found)
        if before != found:
            raise LabError(
                "The data were changed",
                f"`{wanted.dataset_settings.get('path')}` had the SHA-256 {before} when job {job} trained "
                f"`{wanted.name}`; now it has {found}.",
                "Bring back the file as it was, or train from a copy under another path, which makes it a "
                "study of its own.",
            )


def _whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a definition as the catalogue gives it back, with defaults where it says nothing."""
    plain: dict[str, Any] = json.loads(json.dumps({**_defaults(Study), **config}))
    plain["arms"] = [json.loads(json.dumps({**_defaults(Arm), **arm})) for arm in plain["arms"]]
    return plain


def _defaults(kind: type[Study] | type[Arm]) -> dict[str, Any]:
    found = {}
    for field in dataclasses.fields(kind):
        if field.default is not dataclasses.MISSING:
            found[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            found[field.name] = field.default_factory()
    return found


def declare(store: Store, wanted: Study, arms: Sequence[str]) -> list[str]:
    """Write down the study and what its columns mean; return the names of the columns.

    Raises:
        LabError: the store holds runs of a study of this name with other settings.
    """
    from engine.training.columns import columns  # with torch, which `require_same` does without

    require_same(store, wanted)
    store.catalog.save_study(wanted.name, wanted.title, wanted.claim, wanted.config(), "engine")
    rows = [
        MetricRow(wanted.name, name, column.label, column.unit, column.formula, column.source, column.log)
        for name, column in columns(wanted, arms).items()
    ]
    store.catalog.save_metrics(wanted.name, rows)
    return [row.name for row in rows]


def run_settings(wanted: Study, arm: str) -> dict[str, Any]:
    """Return what a run is trained with, flat, as its configuration shows it.

    Settings that have the value they have in every study by default are left out, but for the usual ones.
    """
    alone = wanted.of(arm)
    settings: dict[str, Any] = {name: getattr(alone, name) for name in _ALWAYS}
    for name, default in _defaults(Study).items():
        if name in _NESTED or name in _ALWAYS or name in _WORDS:
            continue
        if getattr(alone, name) != default:
            settings[name] = getattr(alone, name)
    for name, prefix in _NESTED.items():
        settings |= {f"{prefix}.{key}": value for key, value in getattr(alone, name).items()}
    (chosen,) = alone.arms
    settings["ordering"] = chosen.ordering
    return settings | {f"ordering.{name}": value for name, value in chosen.ordering_settings.items()}
