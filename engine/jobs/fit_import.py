"""Takes a fit of latent states from a file into a store, with its states read off the study's own runs."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from data.analyses import save
from data.errors import LabError
from data.rows import AnalysisRow
from data.store import Store
from data.traces import RunMatrix
from engine.version import code_version

if TYPE_CHECKING:
    from engine.analysis.latent import LatentModel

OF_THE_SEARCH = ("restart_hits", "restart_spread", "rivals", "folds")
"""What a record's trust says of how the fit was found, which other runs do not change."""


def import_fit(store: Store, study: str, text: str, name: str) -> AnalysisRow:
    """Keep a fit that Detour exported, decoded on the runs of a study; the file runs no code.

    The parameters, how they were found and how K was chosen are the file's. States, transitions, occupancy,
    entropy and autocorrelation are those of the study's runs: of the arms that the file names where the study
    has one of them, else of all.

    Args:
        store: where the study is and the fit is kept.
        study: a study that measured the fit's metrics.
        text: JSON, as `engine.analysis.latent.to_json` writes it.
        name: of the file, which is kept as the fit's origin.

    Returns:
        The stored fit; importing the same file on the same runs again changes nothing.

    Raises:
        LabError: the text is no such fit, the study lacks its metrics or has no run with all of them, or the
            runs do not suit it.
    """
    from engine.analysis import latent  # here: scikit-learn behind it takes a second to load

    try:
        told, arrays = latent.from_json(text)
        model = latent.from_record(told, arrays)
        _require_shapes(model)
        for field in fields(latent.Candidate):
            _ = [row[field.name] for row in told.get("table", ())]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        said = f"it lacks {error}." if isinstance(error, KeyError) else str(error)
        raise LabError(
            "This file is not a fit of latent states",
            f"`{name}`: {said}",
            "Use a file that Download fit, or `python -m engine fit --out`, has written.",
        ) from error
    runs = _runs(store, study, model, told, name)
    try:
        summary, decoded = _read(model, told, runs)
    except ValueError as error:
        raise LabError(
            "The runs do not suit this fit",
            f"`{study}`, `{name}`: {error}",
            "Fit the study's own runs instead.",
        ) from error
    inputs = {"origin": name, "metrics": list(model.scaling.requested), "arrays": _digest(arrays)}
    return save(store, study, "latent", inputs, summary | {"origin": name}, decoded, code_version())


def _runs(
    store: Store, study: str, model: "LatentModel", told: Mapping[str, Any], name: str
) -> list[RunMatrix]:
    """Return the runs to read states off."""
    wanted = model.scaling.requested
    measured = store.traces.metrics(study)
    missing = [metric for metric in wanted if metric not in measured]
    if missing:
        raise LabError(
            "The study does not measure what this fit reads",
            f"`{study}` has no {', '.join(f'`{metric}`' for metric in missing)}; `{name}` reads "
            f"{len(wanted)} metrics.",
            "Open the fit in a study that measures them, or train this one with them.",
        )
    arms = {run.arm for run in store.catalog.runs(study, archived=True)} & set(told.get("arms", ()))
    runs = [run for run in store.traces.matrices(study, wanted) if not arms or run.arm in arms]
    if not runs:
        raise LabError(
            "Nothing to read states from",
            f"No run of `{study}` has all {len(wanted)} metrics of `{name}` measured at one step.",
            "Train the study first.",
        )
    return runs


def _read(
    model: "LatentModel", told: Mapping[str, Any], runs: Sequence[RunMatrix]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return the record of the fit on these runs, with what the file says of the search for it."""
    from engine.analysis import latent
    from engine.analysis.latent.preparation import cut
    from engine.analysis.latent.trust import mean_entropy, residual_autocorrelation

    values = [run.values for run in runs]
    rows = model.scaling.rows_of(values)
    usable = tuple(index for index, each in enumerate(rows) if len(each))
    if not usable:
        raise ValueError("every run is cut at its first row, by a value that is not finite or at least 1e12.")
    decoded = latent.decode(model, values)
    here = replace(model, paths=decoded.paths, posteriors=decoded.posteriors)
    paths = [decoded.paths[index] for index in usable]
    warnings = (
        "Imported: the states are of this study's runs; what is said of restarts, folds and the number of "
        "states is of the runs that the fit was made from.",
        *map(str, told.get("warnings", ())),
    )
    trust = latent.Trust(
        runs=usable,
        folds=(usable,),
        left_out=tuple(index for index, each in enumerate(rows) if not len(each)),
        cuts=cut(values, model.scaling.requested)[1],
        rule=told.get("rule", "K is that of the imported fit"),
        restart_hits=0,
        restart_spread=0.0,
        rivals=(),
        occupancy=np.bincount(np.concatenate(paths), minlength=model.n_states) / sum(map(len, paths)),
        entropy=mean_entropy([decoded.posteriors[index] for index in usable]),
        autocorrelation=residual_autocorrelation(model.parameters, [rows[index] for index in usable], paths),
        warnings=warnings,
    )
    labels = [{"run": run.run, "arm": run.arm, "seed": run.seed} for run in runs]
    summary, arrays = latent.to_record(
        latent.Selection((), here, trust),
        labels,
        [run.steps for run in runs],
        told.get("restarts", 0),
        told.get("seed") or 0,
        latent.explain(here, values),
    )
    summary["table"] = told.get("table", [])
    searched = told.get("trust", {})
    summary["trust"] = {key: value for key, value in summary["trust"].items() if key not in OF_THE_SEARCH}
    summary["trust"] |= {key: searched[key] for key in OF_THE_SEARCH if key in searched}
    for run in summary["runs"]:
        run["fold"] = None  # no fold of the search held it out
    return summary, arrays


def _require_shapes(model: "LatentModel") -> None:
    """Raise ValueError unless the arrays of a fit are of one number of states and metrics."""
    k, d = model.n_states, len(model.names)
    expected = {"startprob": (k,), "transmat": (k, k), "means": (k, d)}
    expected["covars"] = (k, d) if model.covariance == "diag" else (k, d, d)
    scaling = {"centre": model.scaling.centre, "scale": model.scaling.scale}
    expected |= {name: (d,) for name, array in scaling.items() if array is not None}
    for name, shape in expected.items():
        found = getattr(scaling.get(name, getattr(model, name, None)), "shape", None)
        if found != shape:
            raise ValueError(
                f"`{name}` must be of shape {shape} for {k} states and {d} metrics; got {found}."
            )
    every = model.scaling.every
    if not isinstance(every, int) or every < 1:
        raise ValueError(f"`every` must be a whole number from 1; got {every!r}.")
    unknown = set(model.names) - set(model.scaling.requested)
    if unknown or not d:
        raise ValueError(f"`metrics` must be among those requested; {sorted(unknown)} are not.")


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Return a name of the fit's parameters: another fit in a file of the same name is another fit."""
    parts = [arrays[name].tobytes() for name in ("startprob", "transmat", "means", "covars")]
    return hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()
