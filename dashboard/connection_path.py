"""The paths between two networks: one chart, the barriers, and what each matching did."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import connection_ends, connection_layers, figure
from dashboard.charts import connection_paths
from dashboard.charts.palette import CORRECTION_NAMES, METHOD_NAMES
from dashboard.connections import OVERFLOWS, Connection, quantity_picker, said, unit
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.prepared import Prepared, prepare
from dashboard.wording import sentence, significant

CHORD = "max over λ of L(λ) − ((1 − λ) L(0) + λ L(1))"
MEAN = "max over λ of L(λ) − (L(0) + L(1)) / 2"
SOURCE = "Entezari et al. 2022 (chord); Frankle et al. 2020 (mean)"


class _Drawn(NamedTuple):
    """The figure, the rows that it draws, and the paths that overflow."""

    chart: Prepared
    rows: pd.DataFrame
    lost: list[str]


def show(lab: Lab, choice: Choice, connection: Connection) -> None:
    """Show what lies between two networks."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        split, quantity = quantity_picker(connection, "path")
        scale = st.segmented_control(
            "Scale", ("linear", "log"), default="linear", required=True, key="connectivity.path.scale",
            bind="query-params",
        )  # fmt: skip
    _figure(connection, split, quantity, scale == "log")
    _table(connection, split)
    _refused(connection)
    _matchings(connection)
    connection_layers.show(connection)
    connection_ends.show(lab, choice, connection)


def _figure(connection: Connection, split: str, quantity: str, log: bool) -> None:
    drawn = _drawn(connection.row.key, split, quantity, log, connection)
    of = [one for one in connection.told["barriers"] if one["split"] == split]
    naive = next((one for one in of if (one["method"], one["renormalize"]) == ("naive", "none")), None)
    rest = [one for one in of if one is not naive]
    field = "loss" if quantity == "loss" else "accuracy"
    least = min(rest, key=lambda one: _size(one, field), default=None)
    told = [
        f"{_called(one)}: {_in_words(one, field)}"
        for one in (naive, least)
        if one is not None
    ]  # fmt: skip
    if drawn.lost:
        told.append(f"Marked at the upper edge, the loss overflows: {', '.join(drawn.lost)}")
    told.append("Dashed in grey: the chord of the first path; dots: where each path is farthest from its own")
    figure.show(
        drawn.chart,
        "connectivity.paths",
        f"{quantity.capitalize()} on the {split} rows along {len(connection.told['paths'])} paths from "
        f"{connection.names[0]} to {connection.names[1]}.",
        drawn.rows,
        connection.provenance(
            f"θ(λ) = (1 − λ) θ_A + λ θ_B at {connection.told['points']} λ; a curve by its own parameter; "
            f"chord barrier: {CHORD}; mean barrier: {MEAN}; of accuracy with the sign turned",
            SOURCE,
        ),
        sentence(told),
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _drawn(key: str, split: str, quantity: str, log: bool, _connection: Connection) -> _Drawn:
    told, arrays = _connection.told, _connection.arrays
    at = _connection.splits.index(split)
    lambdas, values = arrays["lambdas"], arrays[quantity][:, at]
    measured = [
        {(one["method"], one["renormalize"]): one for one in told["barriers"] if one["split"] == split}[
            path["method"], path["renormalize"]
        ]
        for path in told["paths"]
    ]
    chord = (1 - lambdas) * values[0, 0] + lambdas * values[0, -1]
    frames, marks, lost = list[pd.DataFrame](), list[dict[str, Any]](), list[str]()
    for path, barrier, line in zip(told["paths"], measured, values, strict=True):
        names = {
            "path": f"{path['method']} {path['renormalize']}", "method": METHOD_NAMES[path["method"]],
            "correction": CORRECTION_NAMES[path["renormalize"]],
        }  # fmt: skip
        clean = np.where(np.isfinite(line), line, np.inf)
        frames.append(pd.DataFrame({**names, "x": lambdas, "value": clean}))
        own = (1 - lambdas) * line[0] + lambdas * line[-1]
        if np.isfinite(line).all():
            highest = int(((line - own) * (1 if quantity == "loss" else -1)).argmax())
            marks.append(
                {
                    **names, "x": lambdas[highest], "value": line[highest], "chord": own[highest],
                    "told": _in_words(barrier, quantity),
                }
            )  # fmt: skip
        else:
            lost.append(f"{_called(path)} at λ = {lambdas[~np.isfinite(line)][0]:.2g}")
    rows = pd.concat(frames, ignore_index=True)
    rows["kind"] = np.where(np.isfinite(rows["value"]), "finite", connection_paths.OVERFLOWS)
    chords = np.tile(chord if np.isfinite(chord).all() else np.full(len(lambdas), np.nan), len(values))
    columns = ["path", "method", "correction", "x", "value", "chord", "told"]
    barriers = pd.DataFrame(marks, columns=columns)
    names_of_ends = (_connection.names[0], _connection.names[1])
    chart = connection_paths.chart(
        rows.assign(chord=chords), barriers.astype({"value": float, "chord": float}), names_of_ends,
        unit(_connection, quantity), log,
    )  # fmt: skip
    return _Drawn(prepare(chart), rows.drop(columns=["path"]).rename(columns={"x": "lambda"}), lost)


def _called(path: dict[str, Any]) -> str:
    """Return what a path is called: "weight matching with REPAIR"."""
    how = "" if path["renormalize"] == "none" else f" with {CORRECTION_NAMES[path['renormalize']]}"
    return f"{METHOD_NAMES[path['method']]}{how}"


def _in_words(barrier: dict[str, Any], quantity: str) -> str:
    lost = barrier["overflows"] and quantity == "loss"
    chord, mean = (said(barrier[f"{quantity}_{name}"], lost) for name in ("chord", "mean"))
    kind = "barrier" if quantity == "loss" else "drop"
    return OVERFLOWS if lost else f"chord {kind} {chord}, mean {mean}"


def _size(barrier: dict[str, Any], quantity: str) -> float:
    value = barrier[f"{quantity}_chord"]
    return math.inf if value is None or (barrier["overflows"] and quantity == "loss") else float(value)


def _table(connection: Connection, split: str) -> None:
    st.subheader("Barriers", anchor=False)
    frame = _barriers(connection, split)
    accuracy = "accuracy" in connection.quantities
    hidden = [] if accuracy else [name for name in frame.columns if "accuracy" in str(name)]
    config = st.column_config.TextColumn
    of = connection.told["rows"][split]
    st.dataframe(
        frame.drop(columns=hidden),
        hide_index=True,
        key="connectivity.barriers",
        alt=f"Barriers of every path on the {split} rows.",
        column_config={
            "path": config("path", pinned=True), "corrected": config("corrected"),
            "chord": config("chord barrier", help=f"{CHORD}. Entezari et al. 2022, equation 1."),
            "mean": config(
                "mean barrier",
                help=f"{MEAN}. Frankle et al. 2020, section 2. Above the chord where the ends differ.",
            ),
            "at": config("at λ", help="Where the chord barrier is reached first."),
            "accuracy drop": config(
                help="max over λ of ((1 − λ) A(0) + λ A(1)) − A(λ), a share of examples."
            ),
            "half-way loss": config(help=f"L at the measured λ nearest to 0.5, over {of:,} {split} rows."),
            "half-way accuracy": config(help="A at the measured λ nearest to 0.5."),
            "ends, loss": config(help="L(0) and L(1). A correction may change an end a little."),
            "ends, accuracy": config(help="A(0) and A(1)."),
        },
    )  # fmt: skip


def _barriers(connection: Connection, split: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "path": METHOD_NAMES[one["method"]], "corrected": CORRECTION_NAMES[one["renormalize"]],
                "chord": said(one["loss_chord"], one["overflows"]),
                "mean": said(one["loss_mean"], one["overflows"]),
                "accuracy drop": _share(one["accuracy_chord"]),
                "at": significant(one["at"]),
                "half-way loss": _finite(one["midpoint"]["loss"]),
                "half-way accuracy": _share(one["midpoint"]["accuracy"]),
                "ends, loss": " and ".join(_finite(end) for end in one["ends"]["loss"]),
                "ends, accuracy": " and ".join(_share(end) for end in one["ends"]["accuracy"]),
            }
            for one in connection.told["barriers"]
            if one["split"] == split
        ]
    )  # fmt: skip


def _finite(loss: float | None) -> str:
    """Return a loss in words; a summary holds None for one that is not finite."""
    return said(math.inf if loss is None else loss)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _refused(connection: Connection) -> None:
    why: dict[str, list[str]] = {}
    for one in connection.told["refused"]:
        why.setdefault(one["why"], []).append(_called(one))
    for reason, paths in why.items():
        st.caption(f":material/block: Not done, {', '.join(paths)}: {reason}")


def _matchings(connection: Connection) -> None:
    found = connection.told["matchings"]
    if not found:
        return
    st.subheader("What each matching did", anchor=False)
    columns = st.columns(max(len(found), 2), gap="small")
    for column, one in zip(columns, found, strict=False):
        with column:
            _matching(one)


def _matching(one: dict[str, Any]) -> None:
    with st.container(
        border=True, key=f"connectivity.matching.{one['method']}", gap="small", height="stretch"
    ):
        st.markdown(f"**{METHOD_NAMES[one['method']].capitalize()}**")
        left, right = st.columns(2, gap="small")
        before, after = one["distance_before"], one["distance_after"]
        left.metric(
            "Distance", f"{significant(before)} → {significant(after)}",
            help="Frobenius norm of the difference of all matched weights, before and after the units of the "
            "second network are put into the order of the first.",
        )  # fmt: skip
        right.metric(
            "Cosine", f"{_number(one['similarity_before'])} → {_number(one['similarity_after'])}",
            help="Cosine of the two vectors of matched weights, before and after.",
        )  # fmt: skip
        null = one["null"]
        if null is not None:
            spread = "" if null["sd"] is None else f" ± {significant(null['sd'], 2)}"
            reached = one["similarity_after"]
            beyond = (
                "" if reached is None
                else ": matching found more than chance" if reached > null["mean"]
                else ": this matching is no closer than chance alone"
            )  # fmt: skip
            st.markdown(
                f"Untrained networks reach **{significant(null['mean'])}**{spread} "
                f"(n = {null['pairs']} pairs){beyond}.",
                help="Freshly initialized networks of this architecture, matched in the same way: an "
                "alignment has to be read against what matching makes of nothing.",
            )  # fmt: skip
        groups = one["groups"]
        st.caption(
            f"{len(groups)} groups of units that move together: "
            + ", ".join(f"{name} ({size})" for name, size in list(groups.items())[:6])
            + (f" and {len(groups) - 6} more" if len(groups) > 6 else "")
        )
        starts = [value for value in one["starts"] if value is not None]
        if len(starts) > 1:
            st.caption(
                f"Best of {len(starts)} starts; they ended at {significant(min(starts))} to "
                f"{significant(max(starts))}."
            )
        for note in one["notes"]:
            st.caption(f":material/info: {note}")


def _number(value: float | None) -> str:
    return "–" if value is None else significant(value)
