"""The transitions between latent states: how often, when, how likely, and what drives each."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import figure
from dashboard.alignment import KINDS
from dashboard.charts import attributions, move_times, transitions
from dashboard.charts.palette import state_name
from dashboard.controls import Choice
from dashboard.fits import Fit, called, is_certain, label, move_name, provenance
from dashboard.links import link
from dashboard.wording import count, interval
from data.rows import MetricRow

MOST_MOVES = 14
MOST_METRICS = 12


def moves_section(choice: Choice, fit: Fit, known: dict[str, MetricRow]) -> None:
    """Show every transition: where, how often, how likely, when, and what drives the one that is picked."""
    st.subheader(
        "Moves between states",
        anchor=False,
        help="Of the departures from a state on the most probable paths, how many go where. Moves below "
        "2 % are not in the graph; the table has all of them.",
    )
    moves = fit.moves
    if moves.empty:
        st.caption(
            "No run changes its state." if "transitions" in fit.summary
            else "This fit was kept before transitions were; fit again to see how often, when and why "
            "they happen."
        )  # fmt: skip
        return
    names = [move_name(a, b) for a, b in zip(moves["source"], moves["target"], strict=True)]
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        picked = st.selectbox(
            "Transition", names, width=260, key="latent.move", bind="query-params",
            help="The most frequent first. What drives it, and when it happens, is shown for this one.",
        )  # fmt: skip
        link(
            "traces", f"Traces aligned at {picked}", ":material/align_horizontal_center:",
            **{"study": choice.study.name, "traces.align": KINDS["transition"],
               "traces.analysis": label(fit.row),
               "traces.move": picked},
        )  # fmt: skip
    row = moves.iloc[names.index(picked)]
    pair = int(row["source"]), int(row["target"])
    left, right = st.columns([4, 5], gap="large")
    with left:
        _graph(fit, moves, pair)
        _times(fit, moves.head(MOST_MOVES))
    with right:
        _drivers(fit, row, known)
    _table(fit, moves, names, known)


def _graph(fit: Fit, moves: pd.DataFrame, pair: tuple[int, int]) -> None:
    path = fit.arrays["path"].astype(int)
    occupancy = np.bincount(path, minlength=fit.n_states) / max(len(path), 1)
    drawn = moves.rename(columns={"share": "probability"})
    drawn = drawn[drawn["probability"] >= transitions.LEAST][
        ["source", "target", "probability", "low", "high", "count"]
    ]
    named = drawn.assign(source=drawn["source"].map(state_name), target=drawn["target"].map(state_name))
    told = "; ".join(f"{row.source} to {row.target} {row.probability:.2f}" for row in named.itertuples())
    figure.show(
        transitions.chart(fit.arrays["transmat"], occupancy, drawn, pair),
        "latent.transitions",
        f"Transition graph: {told}.",
        named,
        provenance(
            fit,
            "of the departures from state i on the most probable paths, the share that goes to j, with its "
            "Jeffreys 95 % interval",
            "Brown, Cai & DasGupta 2001",
        ),
        "States in the order of their mean first visit; later states to the right, returns below the line. "
        "A larger disc holds more of all measured points.",
    )


def _times(fit: Fit, moves: pd.DataFrame) -> None:
    parts = []
    arms = {int(run["run"]): (run["arm"], int(run["seed"])) for run in fit.summary["runs"]}
    for source, target in zip(moves["source"], moves["target"], strict=True):
        parts += [
            {"move": move_name(source, target), "state": state_name(target), "step": step,
             "arm": arms[run][0],
             "seed": arms[run][1]}
            for run, step in fit.moments(source, target).items()
        ]  # fmt: skip
    medians = pd.DataFrame(
        {
            "move": [move_name(a, b) for a, b in zip(moves["source"], moves["target"], strict=True)],
            "median": moves["median"], "low": moves["first"], "high": moves["last"], "n": moves["runs"],
        }
    )  # fmt: skip
    order = medians.sort_values("median", kind="stable")["move"].to_list()
    moments = pd.DataFrame(parts)
    figure.show(
        move_times.chart(moments, medians, order, fit.n_states),
        "latent.move-times",
        "Step of the first time of each transition in each run: "
        + "; ".join(f"{each.move} median {each.median:,.0f}" for each in medians.itertuples()) + ".",
        moments,
        provenance(
            fit,
            "first step in the new state, by run; bar: median over the runs that have it, with the 95 % "
            "interval "
            "by order statistics",
            "David & Nagaraja 2003",
        ),
        f"Runs without the transition are not in it. The {MOST_MOVES} most frequent of the transitions."
        if len(fit.moves) > MOST_MOVES
        else "Runs without the transition are not in it.",
        narrow=True,
    )  # fmt: skip


def _drivers(fit: Fit, row: pd.Series, known: dict[str, MetricRow]) -> None:
    source, target = int(row["source"]), int(row["target"])
    full = fit.attribution(source, target)
    frame = full.head(MOST_METRICS).assign(
        metric=[called(known, name) for name in full["metric"].head(MOST_METRICS)]
    )
    st.markdown(f"**What drives {move_name(source, target)}** :gray[· {count(int(row['count']), 'time')}]")
    figure.show(
        attributions.chart(frame, target),
        "latent.drivers",
        f"Metrics behind {move_name(source, target)}, the strongest first: "
        f"{', '.join(frame['metric'].head(3))}.",
        full,
        provenance(
            fit,
            "left: mean over the transitions of d ln p(s_t = new | z_1..t) / dz_t = S_k⁻¹(μ_k − z_t) − "
            "Σ_j p_j(t) S_j⁻¹(μ_j − z_t), the line is its mean absolute value; right: mean of the new "
            "state less mean "
            "of the old one, both in the model's units",
            "Hu, Chen, Saphra & Cho 2023, section 3.3",
        ),
        "The new state is certain at once: no metric moves its probability (left), so metrics are ranked by "
        "how far the states' means lie apart (right)."
        if is_certain(full)
        else "Left, to the right: a larger value makes the new state more believable; the grey line is the "
        "mean size, by which metrics are ranked, since signs may cancel. Right: how far the states' means "
        "lie apart.",
        narrow=True,
    )


def _table(fit: Fit, moves: pd.DataFrame, names: list[str], known: dict[str, MetricRow]) -> None:
    top = [
        ", ".join(called(known, name) for name in fit.attribution(a, b)["metric"].head(3))
        for a, b in zip(moves["source"], moves["target"], strict=True)
    ]
    st.dataframe(
        pd.DataFrame(
            {
                "Transition": names,
                "Times": moves["count"],
                "Runs": moves["runs"],
                "Probability": [
                    f"{share:.2f} [{low:.2f}, {high:.2f}]"
                    for share, low, high in zip(moves["share"], moves["low"], moves["high"], strict=True)
                ],
                "First time [step]": [
                    f"{middle:,.0f} {interval(low, high)}".rstrip()
                    for middle, low, high in zip(moves["median"], moves["first"], moves["last"], strict=True)
                ],
                "Top metrics": top,
            }
        ),
        hide_index=True,
        height="auto" if len(moves) <= 8 else 320,
        key="latent.moves",
        alt="Every transition with how often, how likely and when it happens, and its top metrics.",
    )
    st.caption(
        "Probability: share of the departures from the state, with its Jeffreys 95 % interval. First "
        "time: median "
        f"over the runs that have it, with its 95 % interval, of {count(len(fit.summary['runs']), 'run')} "
        "in all; none "
        "below six runs. Top metrics by the size of the derivative, or of the difference of means where "
        "the new state is certain at once."
    )
