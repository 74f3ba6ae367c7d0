"""Whether and when the risks of each arm grow without end: survival, and slopes predicted and measured."""

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import explanations, figure, queries
from dashboard.charts import convergence_curves, order_slopes
from dashboard.charts.palette import arm_colour
from dashboard.controls import Choice
from dashboard.lab import Lab
from dashboard.order_effects import Pairs
from dashboard.prepared import prepare
from dashboard.wording import count, escaped, p_value, sentence, significant
from data.store import Store
from engine.analysis.proportions import share
from engine.analysis.survival import log_rank
from engine.comparing import Trend, trend
from engine.version import code_version

BADGES = {
    "distortion divergence": ("Distortion divergence", "violet"),
    "blow-up": ("Blow-up", "red"),
    "none": ("No divergence", "green"),
    "undecided": ("Undecided", "gray"),
}
SOURCE = "Wu, Yun & Sra 2023, section 3.2; Sen 1968; Kaplan & Meier 1958; Mantel 1966"
RULE = (
    "A seed diverges from the step on after which its full-batch risk, smoothed by a running median, is "
    "never "
    "again within 1 % of its lowest, if the medians of ten parts of its last half rise by Kendall's exact "
    "test "
    "at 0.05 over the number of seeds; or where a risk stops being finite. Seeds that do not are censored at "
    "their last step."
)


def show(lab: Lab, choice: Choice, pairs: Pairs, version: str) -> None:
    """Say of each arm whether it diverges, draw when, and set predictions beside measurements."""
    study = choice.study.name
    ended = tuple(sorted(run.id for run in choice.runs if run.status in ("done", "diverged")))
    found = {arm: _trend(lab.store, version, study, arm, ended) for arm in pairs.order}
    told = [(arm, one) for arm, one in found.items() if one is not None]
    if not told:
        st.info(
            "No run has come to its end with both risks measured at least three times in its last half: "
            "whether anything diverges cannot be said yet.",
            icon=":material/hourglass_empty:",
        )
        return
    for column, (arm, one) in zip(st.columns(len(told), gap="small"), told, strict=True):
        with column:
            _card(arm, one, arm in (pairs.control or ()))
    left, right = st.columns(2, gap="medium")
    with left:
        _survival(choice, version, (pairs.a, pairs.b), found, "")
    with right:
        if pairs.control:
            _survival(choice, version, pairs.control, found, "control.")
        else:
            _slopes(lab, choice, pairs, found)
    if pairs.control:
        _slopes(lab, choice, pairs, found)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=queries.BY_ROOT)
def _trend(store: Store, version: str, study: str, arm: str, ended: tuple[int, ...]) -> Trend | None:
    return trend(store, study, arm)


def _card(arm: str, one: Trend, control: bool) -> None:
    told = one.divergence
    word, colour = BADGES[told.kind]
    with st.container(border=True, key=f"shuffling.divergence.{arm}", gap="xsmall", height="stretch"):
        st.markdown(f"**{escaped(arm)}**{' :gray[control]' if control else ''}  \n:{colour}-badge[{word}]")
        seen = share(told.observed)
        st.markdown(
            f"{seen.happened} of {count(seen.n, 'seed')} diverge :gray[[{seen.low:.0%}, {seen.high:.0%}]]",
            help=f"{RULE} Share with Wilson's 95 % interval.",
        )
        st.caption(told.sentence.partition(": ")[2] if ": " in told.sentence else told.sentence)


def _survival(
    choice: Choice, version: str, pair: tuple[str, str], found: dict[str, Trend | None], prefix: str
) -> None:
    told = [(arm, one.divergence) for arm in pair if (one := found[arm]) is not None]
    st.subheader("Control: time to divergence" if prefix else "Time to divergence", anchor=False, help=RULE)
    if not told:
        st.caption(f"No finished run of {' or '.join(pair)}.")
        return
    curves = [convergence_curves.curve(one.times, one.observed, arm, "arm") for arm, one in told]
    caption = [f"{arm}: {int(one.observed.sum())} of {count(one.n, 'seed')} diverge" for arm, one in told]
    if len(told) == 2:
        times, observed = (
            np.concatenate([getattr(one, what) for _, one in told]) for what in ("times", "observed")
        )
        test = log_rank(times, observed, np.arange(len(times)) < told[0][1].n)
        caption.append(
            f"Log-rank {p_value(test.p)}, as if runs of one seed were independent"
            if test.variance > 0
            else "Log-rank: no seed diverges, so that nothing could differ"
        )
    figure.show(
        prepare(
            convergence_curves.chart(
                curves, arm_colour(choice.arms, pair, width=380), "arm", 240, "Not yet diverging"
            )
        ),
        f"shuffling.{prefix}survival",
        f"Share of seeds of {' and '.join(arm for arm, _ in told)} that do not diverge yet, over steps.",
        pd.concat([one.steps for one in curves], ignore_index=True),
        figure.Provenance(
            f"own_batch_risk and full_batch_risk of every finished run, study {choice.study.name}",
            f"{RULE} Kaplan-Meier, 95 % log-log interval; log-rank, two-sided.",
            code_version(),
            version,
            SOURCE,
        ),
        sentence(caption),
    )


def _slopes(lab: Lab, choice: Choice, pairs: Pairs, found: dict[str, Trend | None]) -> None:
    """Set the slope that separability predicts beside the measured one, seed by seed."""
    st.subheader(
        "Predicted and measured slopes",
        anchor=False,
        help="Of the full-batch risk against ln(step): predicted by the linear program and the largest "
        "margin "
        "at the last checkpoint, measured as Theil and Sen's slope over the last half.",
    )
    explained = explanations.picked(lab, choice.study.name)
    if explained is None:
        st.caption("Explain the orders under Why first: the prediction comes from the features.")
        return
    if explained.task != "signs":
        st.caption(
            "A slope is predicted for two classes and the logistic loss alone; this study has "
            f"{'several classes' if explained.task == 'classes' else 'values'} as targets."
        )
        return
    parts = [
        _matched(arm, one, explained.last(arm)) for arm in pairs.order if (one := found[arm]) is not None
    ]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if frame.empty:
        st.caption("No finished run of these arms has been explained yet.")
        return
    lost = int((~np.isfinite(frame[["predicted", "measured"]].to_numpy(float))).any(axis=1).sum())
    drawn = frame[np.isfinite(frame[["predicted", "measured"]].to_numpy(float)).all(axis=1)]
    cautious = int((drawn["caution"] != "").sum())
    if drawn.empty:
        st.caption(f"None of {count(lost, 'run')} has a finite slope to compare.")
        return
    figure.show(
        prepare(order_slopes.chart(drawn)),
        "shuffling.slopes",
        f"Predicted against measured slope of the full-batch risk of {count(len(drawn), 'run')}.",
        drawn,
        explained.provenance(
            "predicted: (1/n) sum over misclassified i of |z_i . u| / margin; measured: median of all slopes "
            "between the medians of ten parts of the last half",
            "Ji & Telgarsky 2019; Wu, Yun & Sra 2023, theorem 5; Sen 1968",
        ),
        sentence(
            [
                *(_agreement(drawn, arm) for arm in pairs.order),
                f"{count(cautious, 'run')} with a caution are hollow: their margin is so small that the "
                "training was too short for the limit" if cautious else "",
                f"{count(lost, 'run')} without a finite slope left out" if lost else "",
            ]
        ),
    )  # fmt: skip


def _matched(arm: str, one: Trend, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return arm, seed, predicted, measured, verdict and caution of the runs that have both."""
    measured = pd.DataFrame({"seed": one.seeds, "measured": one.divergence.slopes})
    told = predicted[["seed", "slope", "kind", "caution"]].rename(
        columns={"slope": "predicted", "kind": "verdict"}
    )
    return told.merge(measured, on="seed").assign(arm=arm)


def _agreement(frame: pd.DataFrame, arm: str) -> str:
    """Say how far measured slopes of an arm are from the predicted ones."""
    rows = frame[(frame["arm"] == arm) & (frame["caution"] == "")]
    if rows.empty:
        return ""
    away = (rows["measured"] - rows["predicted"]).abs()
    return (
        f"{arm}: median predicted {significant(float(rows['predicted'].median()))}, measured "
        f"{significant(float(rows['measured'].median()))}, {significant(float(away.median()))} apart in the "
        f"median of {count(len(rows), 'seed')} without a caution"
    )
