"""Stored results: arrays in a file that is whole or not there, what went in and out in the catalogue."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes

from data.arrays import to_bytes
from data.backend import to_json
from data.durable import put_in_place, refused
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store


def key_of(
    study: str, kind: str, inputs: Mapping[str, Any], code_version: str, data_version: str, seed: int | None
) -> str:
    """Return the name of a result: the same for the same inputs, code, data and seed, and for no others."""
    told = [study, kind, json.loads(to_json(dict(inputs))), code_version, data_version, seed]
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()


def save(
    store: Store,
    study: str,
    kind: str,
    inputs: Mapping[str, Any],
    summary: Mapping[str, Any],
    arrays: Mapping[str, npt.NDArray[Any]],
    code_version: str = "",
    data_version: str | None = None,
    seed: int | None = None,
    job: int | None = None,
) -> AnalysisRow:
    """Keep a result: the file is written aside, fsynced and renamed, then the catalogue's row lets it count.

    Args:
        store: the open store.
        study: what was analysed.
        kind: which analysis, such as "latent" or "effect".
        inputs: what it was asked for: metrics, arms, settings.
        summary: its small results, as the views show them.
        arrays: its large results; numbers or booleans of any shape.
        code_version: the version of the code that computed it.
        data_version: the version of the traces it saw; None for the present one.
        seed: the seed of its random numbers.
        job: the job that computed it.

    Raises:
        ValueError: an array of something else than numbers.
        LabError: the study is unknown or the disk is full; the result does not count then.
    """
    content = to_bytes(arrays)
    if data_version is None:
        data_version = store.traces.version(study)
    else:
        store.catalog.study(study)
    key = key_of(study, kind, inputs, code_version, data_version, seed)
    path = store.analyses / f"{key}.safetensors"
    aside = path.with_name(f"{key}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        put_in_place(aside, path)
    except OSError as error:
        raise refused(error, "A result", path) from error
    finally:
        aside.unlink(missing_ok=True)
    return store.catalog.save_analysis(
        study,
        kind,
        key,
        dict(inputs),
        dict(summary),
        f"{store.analyses.name}/{path.name}",
        code_version,
        data_version,
        seed,
        job,
    )


def load(store: Store, row: AnalysisRow) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a stored result.

    Raises:
        LabError: its file is missing or damaged.
    """
    path = store.root / row.path
    try:
        return from_bytes(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise LabError(
            "The arrays of a result cannot be read",
            f"`{path}` ({error}).",
            "Compute the analysis again.",
        ) from error
