"""What the orders of a small data set would do to its full-batch risk, without training any of them."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.charts import order_outcomes
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.prepared import Prepared, prepare
from dashboard.queries import BY_ROOT
from dashboard.training import at_work, job_card, last_failure
from dashboard.what_if_form import PICKER, await_result, label, what_if_form
from dashboard.wording import ago, count, significant
from data import analyses
from data.rows import AnalysisRow
from data.store import Store
from engine.analysis.shuffling.what_if_record import KINDS
from engine.analysis.shuffling.what_if_words import meaning, proof, reshuffled
from engine.jobs.what_if_request import KIND

COLOURS = {"GD risk diverges": "violet", "no divergence": "blue", "bounded": "green"}
WORDS = {"GD risk diverges": "GD risk diverges", "no divergence": "No divergence", "bounded": "Bounded"}
FORM = "what_if.form"
_BATCHES = 16
"""Batches of an order that are written out."""
_WIDEST = 64
"""Examples up to which a figure's rows say their batches: more would weigh more than the figure."""
_SOURCE = "Wu, Yun & Sra 2023, section 5; Ji & Telgarsky 2019"


def show(lab: Lab, study: str) -> None:
    """Ask what the orders of some data would do, and show what is kept under a study.

    Args:
        lab: where the results are.
        study: on whose page they are asked for and kept; the data need not be its own.
    """
    if at_work(lab, study, KIND):
        live(lab, study, lambda: _jobs(lab, study))
    last_failure(lab, study, KIND)
    await_result(lab)
    rows = lab.store.catalog.analyses(study, KIND)
    if not rows:
        with st.container(border=True):
            _invitation()
            what_if_form(lab, study)
        return
    row = _picker(rows)
    form = st.expander("Ask about other data", key=FORM, type="compact", on_change="rerun")
    if form.open:
        with form:
            _invitation()
            what_if_form(lab, study)
    _result(lab.store, row)


def _invitation() -> None:
    st.markdown(
        "Under Single Shuffle with batch normalization the order of the data decides whether the risk of the "
        "full batch grows without end. Linear programs tell so for each order of a small data set, without "
        "training any; every answer comes with its proof."
    )


def _jobs(lab: Lab, study: str) -> None:
    for job in at_work(lab, study, KIND):
        job_card(lab, job)


def _picker(rows: list[AnalysisRow]) -> AnalysisRow:
    """Ask which result is shown, the newest to begin with; the address names it."""
    named = {label(row): row for row in rows}
    if PICKER not in st.query_params:
        # At once, in both: a link must not show another result once a newer one is there.
        held = st.session_state.get(PICKER)
        st.session_state[PICKER] = st.query_params[PICKER] = held if held in named else next(iter(named))
    picked = st.selectbox("Result", list(named), index=None, key=PICKER, bind="query-params")
    return named[picked] if picked in named else rows[0]


def _result(store: Store, row: AnalysisRow) -> None:
    told = row.summary
    _facts(row)
    _counts(told)
    _notes(told)
    drawn = _drawn(store, row.key, row)
    st.subheader(
        "What each order does",
        anchor=False,
        help="Slope: how fast the full-batch risk grows with ln(step) in the limit. Orders with the same "
        "batches do the same; a bar is as wide as their share.",
    )
    doubtful = told["doubtful"]
    figure.show(
        drawn.chart,
        "what_if.outcomes",
        _described(told),
        drawn.rows,
        _provenance(
            row,
            "slope = (1/n) Σ |z · u| / margin over the full-batch examples on the wrong side of the "
            "direction u of the largest margin of the order's separable part",
        ),
        f"Pale: {count(doubtful, 'batching')} with a margin so small that rounding decides. "
        * bool(doubtful),
    )
    if told["batchings"] > 1:
        left, right = st.columns(2, gap="medium")
        with left:
            _order("Worst order", told["worst"], told)
        with right:
            _order("Best order", told["best"], told)
    else:
        _order("The only batching", told["worst"], told)
    _reshuffled(told)
    if "given" in drawn.arrays:
        _given(drawn, row)


def _facts(row: AnalysisRow) -> None:
    told = row.summary
    sides = [
        f"{side['examples']:,} are {sign}{_called(side, sign)}"
        for sign, side in (("−1", told["classes"]["negative"]), ("+1", told["classes"]["positive"]))
    ]
    extras = [f"eps {told['eps']:g}"] + ["intercept"] * told["intercept"]
    extras += ["trained scale"] * told["scale_trained"]
    st.caption(
        f"{told['name']}: {count(told['examples'], 'example')} of {count(told['features'], 'feature')}; "
        f"{', '.join(sides)} · batches of {told['batch_size']:,} · {', '.join(extras)} · tried "
        f"{ago(row.created_at)} · data {told['sha256'][:12]}"
    )


def _called(side: dict[str, Any], sign: str) -> str:
    names = ", ".join(side["names"]) + (f" and {side['others']:,} more" if side["others"] else "")
    return "" if names in ("", sign, sign.replace("−", "-"), sign[1:]) else f" (`{names.replace('`', ' ')}`)"


def _counts(told: dict[str, Any]) -> None:
    """Show the share of orders that diverge, with its interval, and how many do what."""
    counts, total, noun = told["counts"], told["orders"], "order"
    if counts is None:
        counts, total, noun = told["batching_counts"], told["batchings"], "batching"
    whole = {
        "all": f"of all {total:,} {noun}s, exactly",
        "random": f"{told['low']:.1%} to {told['high']:.1%} of all orders",
        "given": f"of the {count(total, noun)} given",
    }[told["selection"]]
    first, *rest = st.columns([5, 4, 4, 4], gap="small")
    with first, st.container(border=True, height="stretch"):
        st.metric(
            "Orders that diverge", f"{told['share']:.1%}", whole, delta_color="off", delta_arrow="off",
            help="Share of the orders under which the full-batch risk grows without end. "
            + (
                f"Of {total:,} random orders; 95 % interval of Clopper and Pearson."
                if told["selection"] == "random"
                else "Counted, not sampled."
            ),
        )  # fmt: skip
    helps = {
        "GD risk diverges": "Some examples are separated ever more, and that puts others on the wrong side "
        "once the batch is the whole data set.",
        "no divergence": "Some examples are separated ever more, and the full batch stays on the "
        "right side too.",
        "bounded": "Nothing is separated: weights and risks stay finite.",
    }
    for column, kind in zip(rest, reversed(KINDS), strict=True):
        with column, st.container(border=True, height="stretch"):
            st.metric(
                WORDS[kind], f"{counts[kind]:,}", f"{counts[kind] / total:.1%} of {total:,}",
                delta_color="off", delta_arrow="off", help=helps[kind],
            )  # fmt: skip


def _notes(told: dict[str, Any]) -> None:
    """Say what of these data a reader must know."""
    if told["notes"]:
        bullet = "- " if len(told["notes"]) > 1 else ""
        st.info("\n".join(f"{bullet}{note}" for note in told["notes"]), icon=":material/info:")


def _order(title: str, one: dict[str, Any], told: dict[str, Any]) -> None:
    """Show an order: its batches, what it does, and why that is certain."""
    with st.container(border=True, gap="small"):
        st.markdown(f"**{title}** {_badge(one['kind'])}")
        st.markdown(_batches(one["batches"]))
        st.markdown(meaning(one))
        st.caption(proof(one, told["features"] + told["intercept"]))
        _caution(one)


def _reshuffled(told: dict[str, Any]) -> None:
    one = told["reshuffled"]
    with st.container(border=True, gap="small"):
        st.markdown(f"**Random Reshuffle** {_badge(one['kind'])}")
        st.markdown(reshuffled(one, told["batch_size"]))
        st.caption(proof(one, told["features"] + told["intercept"]))
        _caution(one)


def _caution(one: dict[str, Any]) -> None:
    if one["caution"]:
        st.caption(f":material/warning: {one['caution']}")


def _badge(kind: str) -> str:
    return f":{COLOURS[kind]}-badge[{WORDS[kind]}]"


def _batches(batches: list[list[int]]) -> str:
    """Return batches as text: examples are counted from 0, in the order of the data."""
    shown = [
        f"`{', '.join(map(str, batch[:_BATCHES]))}{', …' * (len(batch) > _BATCHES)}`" for batch in batches
    ]
    more = len(shown) - _BATCHES
    return " ".join(shown[:_BATCHES]) + (
        f" and {count(more, 'more batch', 'more batches')}" if more > 0 else ""
    )


class _Drawn(NamedTuple):
    """The figure of a result, the rows that it draws, and the arrays behind it."""

    chart: Prepared
    rows: pd.DataFrame
    arrays: dict[str, np.ndarray]


@st.cache_data(max_entries=16, show_spinner=False, hash_funcs=BY_ROOT)
def _drawn(store: Store, key: str, _row: AnalysisRow) -> _Drawn:
    """Return what a result draws, by the key that names it."""
    arrays = analyses.load(store, _row)
    rows = outcomes(arrays, _row.summary["batch_size"])
    return _Drawn(prepare(order_outcomes.chart(rows)), rows, arrays)


def outcomes(arrays: dict[str, np.ndarray], batch_size: int) -> pd.DataFrame:
    """Return one row a batching: those that diverge from the steepest slope down, then the others.

    Returns:
        first, last (share of the orders looked at), verdict, slope [nats per ln step] (NaN without a known
        size), margin, orders (looked at; 1 where all were), doubtful, batches.
    """
    kinds = [KINDS[kind] for kind in arrays["kind"]]
    ranks = np.array([order_outcomes.RANKS.index(kind) for kind in kinds])
    order = np.argsort(ranks, kind="stable")
    times = arrays["times"][order].astype(float)
    last = np.cumsum(times) / times.sum()
    slope = arrays["slope"][order]
    return pd.DataFrame(
        {
            "first": np.r_[0.0, last[:-1]],
            "last": last,
            "verdict": [kinds[at] for at in order],
            "slope": np.where(np.isfinite(slope), slope, np.nan),
            "margin": arrays["margin"][order],
            "orders": arrays["times"][order],
            "doubtful": arrays["doubtful"][order],
            "batches": [written(row, batch_size) for row in arrays["batches"][order]],
        }
    )


def written(indices: np.ndarray, batch_size: int) -> str:
    """Return the batches of one order as text; empty where there are too many examples to read."""
    if len(indices) > _WIDEST:
        return ""
    parts = [indices[at : at + batch_size] for at in range(0, len(indices), batch_size)]
    return " | ".join(" ".join(map(str, part)) for part in parts)


def _given(drawn: _Drawn, row: AnalysisRow) -> None:
    """Show what each of the given orders does, in the order in which they were given."""
    st.subheader("Your orders", anchor=False)
    arrays, places = drawn.arrays, drawn.arrays["given"]
    slopes = arrays["slope"][places]
    frame = pd.DataFrame(
        {
            "Order": np.arange(1, len(places) + 1),
            "Verdict": [WORDS[KINDS[kind]] for kind in arrays["kind"][places]],
            "Slope [nats per ln step]": [significant(s) if np.isfinite(s) else "not known" for s in slopes],
            "Batches": [written(one, row.summary["batch_size"]) for one in arrays["batches"][places]],
        }
    )
    st.dataframe(frame, hide_index=True, key="what_if.given", alt="What each of the given orders does.")


def _described(told: dict[str, Any]) -> str:
    shares = [f"{kind} {told['batching_counts'][kind]:,}" for kind in reversed(KINDS)]
    worst = told["worst"]["slope"]
    return (
        f"Slope of the full-batch risk under {count(told['batchings'], 'batching')} of {told['name']}: "
        f"{', '.join(shares)}; the steepest is "
        f"{'without a known size' if worst is None else significant(worst)} nats per ln step."
    )


def _provenance(row: AnalysisRow, formula: str) -> figure.Provenance:
    query = f"analysis {row.id} of {row.study}, key {row.key}, seed {row.seed}"
    return figure.Provenance(query, formula, row.code_version, row.data_version, _SOURCE)
