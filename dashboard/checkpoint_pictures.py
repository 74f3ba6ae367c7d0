"""Figures of an explanation: features in the plane of a decision, and curves over its checkpoints."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import feature_hulls, traces
from dashboard.explanations import Explanation
from dashboard.prepared import Prepared, marked, prepare
from dashboard.wording import count, sentence, significant
from engine.analysis.shuffling.contrast import Drawn

PANELS = ("own batches", "full batch")
RISKS = {"own": "L_SS(π)", "reshuffled": "L_RR", "full": "L_GD"}
DISTANCES = {"distance_own": "to M*_SS(π)", "distance_reshuffled": "to M*_RR", "distance_full": "to M*_GD"}


def features(explained: Explanation, arms: Sequence[str], step: int, seed: int) -> None:
    """Show what the read-out sees of two classes, under each data, for one seed of some arms."""
    parts, frames, told = list[figure.Panel](), list[pd.DataFrame](), list[str]()
    first, second = explained.classes
    for arm in arms:
        rows = explained.at(arm, step)
        rows = rows[rows["seed"] == seed]
        found = explained.picture(int(rows["place"].iloc[0])) if len(rows) else None
        if found is None:
            st.caption(f"{arm}: no features of seed {seed} at step {step:,} are kept.")
            continue
        frames.append(_frame(explained.row.key, int(rows["place"].iloc[0]), explained).assign(arm=arm))
        told.append(
            f"{arm}: the plane holds {found.shown:.0%} of the variance; on the wrong side "
            f"{_wrong(found.own)} under {PANELS[0]}, {_wrong(found.full)} under the {PANELS[1]}"
        )
        for name in PANELS:
            chart = _panel(explained.row.key, int(rows["place"].iloc[0]), name, explained)
            parts.append(
                figure.Panel(
                    f"{arm}, {name}",
                    chart,
                    f"Features of {first} and {second} of {arm}, seed {seed}, step {step}, under the "
                    f"{name}, by "
                    "distance to the decision of the read-out, with the hull of each class.",
                )
            )
    if not parts:
        return
    figure.panels(
        parts,
        f"shuffling.features.{arms[0]}",
        pd.concat(frames, ignore_index=True),
        explained.provenance(
            "x: (M x + offset) / ||M|| of the difference of the two read-outs; y: the main direction beside "
            "it of "
            "both data together; hulls of all rows of a class; rings: rows on the wrong side",
            "Wu, Yun & Sra 2023, figures of section 3.2",
        ),
        sentence(told),
    )


def _wrong(drawn: Drawn) -> str:
    of = (
        f" of {count(len(drawn.wrong), 'drawn row')}"
        if drawn.rows > len(drawn.wrong)
        else f" of {drawn.rows:,}"
    )
    return f"{int(drawn.wrong.sum()):,}{of}"


def _frame(key: str, place: int, explained: Explanation) -> pd.DataFrame:
    found = explained.picture(place)
    if found is None:
        return pd.DataFrame()
    first, second = explained.classes
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "panel": name,
                    "label": np.where(drawn.label > 0, first, second),
                    "x": drawn.at[:, 0].astype(float),
                    "y": drawn.at[:, 1].astype(float),
                    "example": drawn.example,
                    "wrong": drawn.wrong,
                }
            )
            for name, drawn in zip(PANELS, (found.own, found.full), strict=True)
        ],
        ignore_index=True,
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _panel(key: str, place: int, name: str, _explained: Explanation) -> Prepared:
    first, second = _explained.classes
    return prepare(feature_hulls.panel(_frame(key, place, _explained), name, (second, first), 260))


def risks(explained: Explanation, arms: Sequence[str], every: Sequence[str], step: int) -> None:
    """Show the three risks of the read-outs over the checkpoints."""
    errors = explained.table.loc[
        explained.table["arm"].isin(arms) & ~explained.table["exact"], "reshuffled_se"
    ]
    sampled = f"L_RR is of sampled batches, standard error at most {significant(float(errors.max()), 2)}"
    _curves(
        explained, RISKS, arms, every, step, "Three risks of the same read-out", "shuffling.three",
        "mean loss of the read-out with its offset: on the batches of the seed's permutation, on all or "
        "random "
        "batches, on the full batch; each normalized by itself; line: median over seeds, band: 5 to 95 %",
        sentence([sampled if len(errors) else "L_RR is of all batches"]),
        True,
    )  # fmt: skip


def distances(explained: Explanation, arms: Sequence[str], every: Sequence[str], step: int) -> None:
    """Show the distance to each optimum of the features as they are at each checkpoint."""
    if not np.isfinite(explained.table["distance_own"]).any():
        st.caption(
            "Distances to optima are those of a read-out without an offset under squared error; here an "
            "offset "
            "is trained, or every feature is 0."
        )
        return
    _curves(
        explained, DISTANCES, arms, every, step, "", "shuffling.distances",
        "||M − M*||_F / ||M*||_F with the optima of the features at each checkpoint; line: median over seeds",
        "The features move, so that the optima are those of each checkpoint.",
        True,
    )  # fmt: skip


def alignment(explained: Explanation, arms: Sequence[str], every: Sequence[str], step: int) -> None:
    """Show how far the read-out has turned towards the direction that separability predicts."""
    rows = explained.table[explained.table["arm"].isin(arms)]
    if not np.isfinite(rows["alignment"]).any():
        st.caption("Under no arm's own batches anything is separable: no direction is predicted.")
        return
    _curves(
        explained, {"alignment": "cosine"}, arms, every, step, "Turning towards the predicted direction",
        "shuffling.alignment",
        "cosine of the read-out's difference for the two classes and the direction of the largest margin of "
        "the "
        "separable rows (of the sum of absolute entries where a scale is trained)",
        "Runs under whose batches nothing is separable have no such direction and no line.",
        False,
    )  # fmt: skip


def _curves(
    explained: Explanation,
    columns: dict[str, str],
    arms: Sequence[str],
    every: Sequence[str],
    step: int,
    title: str,
    key: str,
    formula: str,
    caption: str,
    log: bool,
) -> None:
    if title:
        st.subheader(title, anchor=False)
    parts, frames = list[figure.Panel](), list[pd.DataFrame]()
    for name, called in columns.items():
        chart, frame = _over_checkpoints(
            explained.row.key, name, tuple(arms), tuple(every), log, called, explained
        )
        frames.append(frame.assign(what=called))
        alt_text = f"{called} of {', '.join(arms)} over {count(len(explained.steps), 'checkpoint')}."
        parts.append(figure.Panel(called, marked(chart, step), alt_text))
    figure.panels(
        parts, key, pd.concat(frames, ignore_index=True),
        explained.provenance(formula, "Wu, Yun & Sra 2023, section 3"), caption,
    )  # fmt: skip


@st.cache_data(max_entries=64, show_spinner=False)
def _over_checkpoints(
    key: str, name: str, arms: tuple[str, ...], every: tuple[str, ...], log: bool, called: str,
    _explained: Explanation,
) -> tuple[Prepared, pd.DataFrame]:  # fmt: skip
    rows = _explained.table
    rows = rows[rows["arm"].isin(arms) & np.isfinite(rows[name])]
    lines = rows[["arm", "seed"]].assign(
        run=rows["arm"] + rows["seed"].astype(str),
        x=rows["step"].astype(float),
        value=rows[name],
        kind="finite",
    )
    shown = rows[rows[name] > 0] if log else rows
    grouped = shown.groupby(["arm", "step"], sort=False)[name]
    spread = grouped.quantile([0.05, 0.5, 0.95]).unstack().reset_index()
    spread.columns = pd.Index(["arm", "x", "low", "centre", "high"])
    spread = spread.assign(n=grouped.size().to_numpy(), x=spread["x"].astype(float))
    chart = traces.chart(lines, spread, every, "Step", called, log, 220, len(arms) > 1, 260)
    return prepare(chart), lines[["arm", "seed", "x", "value"]]
