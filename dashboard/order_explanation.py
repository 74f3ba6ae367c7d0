"""Why the arms part ways: features, separability, risks and optima at the checkpoint of a slider."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import checkpoint_pictures, explanations, order_effects, queries
from dashboard.callbacks import act
from dashboard.controls import Choice
from dashboard.explanations import Explanation
from dashboard.lab import Lab
from dashboard.live import live
from dashboard.order_effects import Pairs
from dashboard.parts import part
from dashboard.training import at_work, job_card, last_failure
from dashboard.wording import count, sentence, significant, spans
from data.errors import LabError
from data.traces import Axis
from engine.analysis.proportions import share
from engine.jobs import queue
from engine.jobs.explain_request import explain_request
from engine.studies import Study

KINDS = {
    "GD risk diverges": ("Full-batch risk diverges", "red"),
    "no divergence": ("Separable, no divergence", "blue"),
    "bounded": ("Bounded", "green"),
}
AUTO = "the two told apart worst"


def show(lab: Lab, choice: Choice, pairs: Pairs, x: Axis) -> None:
    """Show an explanation, or say what one is and start it."""
    study = choice.study.name
    if at_work(lab, study, "explain"):
        live(lab, study, lambda: _jobs(lab, study))
    last_failure(lab, study, "explain")
    found = explanations.rows(lab, study)
    if not found:
        with st.container(border=True, key="shuffling.unexplained"):
            st.subheader("These orders have not been explained yet", anchor=False)
            st.markdown(
                "At every kept checkpoint of every run, what its last layer reads is normalized three "
                "times: by "
                "the batches of the run's own order, by random batches and as one batch. From this come the "
                "three risks, the distances to their optima, and by a linear program whether training must "
                "separate its own batches for ever, and whether that must make the full-batch risk grow. The "
                "job runs beside; its result is kept."
            )
            _form(lab, choice)
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        _pick(lab, study)
        with st.popover("Explain again", icon=":material/replay:", key="shuffling.again"):
            _form(lab, choice)
    explained = explanations.picked(lab, study)
    if explained is None:
        return
    if explained.row.data_version != lab.store.traces.version(study):
        st.info("The study has changed since: this is of its runs as they were.", icon=":material/history:")
    part(lambda: _through_time(lab, choice, pairs, x, explained))
    _one_against_rest(explained, pairs)


def _jobs(lab: Lab, study: str) -> None:
    for job in at_work(lab, study, "explain"):
        job_card(lab, job)


def _pick(lab: Lab, study: str) -> None:
    named = [explanations.label(row) for row in explanations.rows(lab, study)]
    key = "shuffling.explanation"
    if key not in st.query_params and st.session_state.get(key) not in named:
        st.session_state[key] = named[0]
    st.selectbox("Explanation", named, key=key, bind="query-params", width=420)


def _form(lab: Lab, choice: Choice) -> None:
    """Ask for what is not usual, and start the job."""
    study = choice.study.name
    if choice.study.source != "engine":
        st.caption("This study was uploaded: its networks are not here, so that their features are unknown.")
        return
    shape = Study.from_config(choice.study.config).shape
    classes: Sequence[int] = ()
    if shape.task == "classes":
        names = [str(one) for one in range(shape.outputs)]
        with st.container(horizontal=True, gap="small"):
            first = st.selectbox("Class", [AUTO, *names], key="shuffling.first", width=240)
            second = st.selectbox(
                "against", names, index=1, key="shuffling.second", width=120, disabled=first == AUTO
            )
        if first != AUTO:
            classes = (int(first), int(second or 0))
    try:
        wanted = explain_request(lab.store, study, classes=classes)
    except LabError as error:
        st.caption(f"{error.message} {error.remedy}")
        return
    runs = len({(run.arm, run.seed) for run in choice.runs})
    with st.container(horizontal=True, gap="medium", vertical_alignment="center"):
        st.button(
            "Explain these orders", icon=":material/psychology:", type="primary", key="shuffling.explain",
            disabled=not lab.access.may_change or bool(at_work(lab, study, "explain")),
            on_click=act, args=(_submit, lab, wanted.study, wanted.spec),
        )  # fmt: skip
        st.caption(
            f"{count(runs, 'run')}, about 40 checkpoints a second on two cores. On the command line: "
            f"`python -m engine explain {study}`."
        )


def _submit(lab: Lab, study: str, spec: dict[str, object]) -> None:
    queue.submit(lab.store, "explain", study, spec)


def _through_time(lab: Lab, choice: Choice, pairs: Pairs, x: Axis, explained: Explanation) -> None:
    """Draw everything at the checkpoint that the slider stands at."""
    version = lab.store.traces.version(choice.study.name)
    step, seed = _when(explained, pairs)
    order_effects.risks(lab, choice, (pairs.a, pairs.b), x, version, "why.", step)
    arms = [arm for arm in pairs.order if arm in explained.arms]
    if not arms:
        st.info(
            f"This explanation is of {', '.join(explained.arms)}; explain the chosen arms, or choose these.",
            icon=":material/data_alert:",
        )
        return
    if explained.task != "values":
        for pair in _beside(pairs, arms):
            checkpoint_pictures.features(explained, pair, step, seed)
    for column, arm in zip(st.columns(len(arms), gap="small"), arms, strict=True):
        with column:
            _card(explained, arm, step, seed, arm in (pairs.control or ()))
    notes = dict.fromkeys(note for arm in arms for note in explained.notes.get(arm, ()))
    for note in notes:
        of = [arm for arm in arms if note in explained.notes.get(arm, ())]
        st.caption(f":material/info: {', '.join(of)}: {note}")
    if lost := [one for one in explained.row.summary["not_finite"] if one["arm"] in arms]:
        seeds = spans(one["seed"] for one in lost)
        st.caption(f":material/warning: Weights that are not finite are left out: seeds {seeds}.")
    checkpoint_pictures.risks(explained, arms, choice.arms, step)
    if explained.task == "values":
        _distances(lab, choice, pairs, x, explained, arms, step)
    else:
        checkpoint_pictures.alignment(explained, arms, choice.arms, step)


def _when(explained: Explanation, pairs: Pairs) -> tuple[int, int]:
    """Ask for the checkpoint and the seed whose features are drawn."""
    known = explained.table
    seeds = sorted(set(known.loc[known["arm"].isin(pairs.order), "seed"])) or sorted(set(known["seed"]))
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        if len(explained.steps) > 1:
            step = st.select_slider(
                "Checkpoint", explained.steps, value=explained.steps[-1], key="shuffling.step",
                bind="query-params", format_func=lambda one: f"step {one:,}",
                help="Moves all pictures of this part together.",
            )  # fmt: skip
        else:
            step = explained.steps[0]
            st.caption(
                f"Only the weights of step {step:,} were kept. A study that names `checkpoints` keeps more, "
                "and "
                "then a slider stands here."
            )
        seed = st.selectbox(
            "Seed", seeds, key="shuffling.seed", bind="query-params", width=110,
            help="Whose features and certificate are shown; risks and shares are of all seeds.",
        )  # fmt: skip
    return int(step), int(seed)


def _beside(pairs: Pairs, arms: Sequence[str]) -> list[list[str]]:
    """Return which arms share a row of pictures: each arm with its counterpart of the control."""
    control = pairs.control or ("", "")
    wanted = [[pairs.a, control[0]], [pairs.b, control[1]]]
    return [row for both in wanted if (row := [arm for arm in both if arm in arms])]


def _card(explained: Explanation, arm: str, step: int, seed: int, control: bool) -> None:
    """Say what becomes of an arm at this checkpoint, for one seed and over all of them."""
    rows = explained.at(arm, step)
    with st.container(border=True, key=f"shuffling.why.{arm}", gap="xsmall", height="stretch"):
        title = f"**{arm}**{' :gray[control]' if control else ''}"
        if rows.empty:
            st.markdown(title)
            st.caption(f"No weights of step {step:,} were kept.")
            return
        mine = rows[rows["seed"] == seed]
        if explained.task == "values":
            st.markdown(title)
            _values(rows)
            return
        if mine.empty:
            st.markdown(title)
            st.caption(f"Seed {seed} has no weights of step {step:,}.")
        else:
            one = mine.iloc[0]
            word, colour = KINDS[one["kind"]]
            st.markdown(f"{title}  \n:{colour}-badge[{word}]")
            st.markdown(_found(one, explained), help=_certificate(one))
            if one["caution"]:
                st.caption(f":material/warning: {one['caution']}")
        diverging = share((rows["kind"] == "GD risk diverges").to_numpy(bool))
        certified = int(((rows["kind"] == "bounded") & (rows["caution"] == "")).sum())
        st.caption(
            f"Of {count(diverging.n, 'seed')}, {diverging.happened} must diverge "
            f"[{diverging.low:.0%}, {diverging.high:.0%}]; {certified} are certified bounded.",
            help="Share with Wilson's 95 % interval. Certified: positive weights prove that nothing is "
            "separable.",
        )


def _found(one: pd.Series, explained: Explanation) -> str:
    classes = " from ".join(explained.classes) if explained.task == "classes" else "the two classes"
    if one["kind"] == "bounded":
        return f"Nothing separates {classes} under its own batches: the read-out has a finite optimum."
    told = (
        f"{_percent(one['separable'])} of its own rows are separable for ever, margin "
        f"{significant(one['margin'])}; "
        f"that direction puts {_percent(one['misclassified'])} of the full batch on the wrong side"
    )
    if one["kind"] == "no divergence":
        return f"{told}."
    slope = f"{significant(one['slope'])} nats per ln step" if np.isfinite(one["slope"]) else "without bound"
    return f"{told}, so its risk grows by {slope}."


def _percent(part: float) -> str:
    """Return a share in percent; one that is not 0 never reads as 0."""
    return f"{100 * part:.3g} %"


def _certificate(one: pd.Series) -> str:
    """Put the proof of the bounded part into words."""
    if one["kind"] == "bounded":
        further = "; as they span the whole space, no further batch changes that" if one["complete"] else ""
        return (
            f"Certificate: positive weights on all rows with which the signed rows add up to 0 (residual "
            f"{significant(one['residual'], 2)} of their length; rank {one['rank']}), so that no direction "
            "has "
            f"a product of at least 0 with all of them and above 0 with one{further} (Ji & Telgarsky 2019)."
        )
    if one["rank"] > 0:
        return (
            f"Certificate for the rows that are not separable: positive weights with which they add up to 0 "
            f"(residual {significant(one['residual'], 2)} of their length); their rank is {one['rank']}. "
            "The others are separated by the direction, as its products with them show."
        )
    return "No row is bounded: the direction has a positive product with every one of them."


def _values(rows: pd.DataFrame) -> None:
    told = [
        f"{name} {significant(float(rows[column].median()))}"
        for column, name in checkpoint_pictures.DISTANCES.items()
        if np.isfinite(rows[column]).any()
    ]
    if told:
        st.markdown(
            f"Distance {', '.join(told)}".replace("*", r"\*"),
            help="||M − M*||_F / ||M*||_F, median over seeds, of the features at this checkpoint. "
            "M*_SS is the "
            "optimum of the seed's own permutation, of Random Reshuffle that of its first epoch.",
        )
    else:
        st.caption("With a trained offset the distance of M alone means nothing: see the risks.")
    st.caption(f"Median of {count(len(rows), 'seed')}.")


def _distances(
    lab: Lab, choice: Choice, pairs: Pairs, x: Axis, explained: Explanation, arms: Sequence[str], step: int
) -> None:
    """Show the distance to each optimum: as training measured it, or else at the checkpoints."""
    names = {
        "distance_to_own_optimum": "Distance to its own M*_SS",
        "distance_to_reshuffled_optimum": "Distance to M*_RR",
        "distance_to_full_optimum": "Distance to M*_GD",
    }
    known = queries.metrics(lab.store, choice.study.name)
    st.subheader(
        "Distance to the three optima", anchor=False,
        help="||M − M*||_F / ||M*||_F: M*_SS of the seed's permutation, M*_RR of all batches, M*_GD of the "
        "full "
        "batch (Wu, Yun & Sra 2023, section 3.1).",
    )  # fmt: skip
    if not set(names) <= set(known):
        checkpoint_pictures.distances(explained, arms, choice.arms, step)
        return
    version = lab.store.traces.version(choice.study.name)
    for column, (name, title) in zip(st.columns(3, gap="small"), names.items(), strict=True):
        with column:
            order_effects.curves(lab, choice, (pairs.a, pairs.b), x, name, title, version, "why.", step)


def _one_against_rest(explained: Explanation, pairs: Pairs) -> None:
    """List the verdict on each class against all others at the end of training."""
    told = [one for one in explained.row.summary["one_against_rest"] if one["arm"] in pairs.order]
    if not told:
        return
    with st.expander("Each class against the rest, at the end of the first seed", key="shuffling.rest"):
        frame = pd.DataFrame(told).drop(columns=["seed", "step"])
        frame["caution"] = frame["caution"].where(frame["caution"] != "", "–")
        st.dataframe(
            frame,
            hide_index=True,
            key="shuffling.rest.rows",
            column_config={
                "separable": st.column_config.NumberColumn("separable rows", format="percent"),
                "misclassified": st.column_config.NumberColumn("full batch wrong", format="percent"),
                "kind": "verdict", "complete": "certified bounded",
                "margin": st.column_config.NumberColumn(format="%.3g"),
            },
        )  # fmt: skip
        st.caption(
            sentence(
                [
                    "One linear program for each class, with the run's own batches; directions of a read-out "
                    "trained for that class alone"
                ]
            )
        )
