"""The controls that views share, always in this order: study, arms, seeds, metric, horizontal axis.

Each is bound to the URL under a short name, so that a link restores the view; a value in a link that the
study does not have falls back to the default.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import streamlit as st

from dashboard import queries
from dashboard.callbacks import fail
from dashboard.figure_files import Place
from dashboard.lab import Lab
from dashboard.links import go
from dashboard.wording import coded, message
from data.errors import LabError
from data.rows import MetricRow, RunRow, StudyRow
from data.store import Store
from data.traces import Axis

_HELD, _VIEW, _MOVED = "controls.held", "controls.view", "controls.moved"
SAVED = "saved"
"""In the address: the code of a saved view whose parameters are to be taken."""
X_AXES: tuple[Axis, ...] = ("step", "epoch", "seconds")
X_TITLES = {"step": "Step", "epoch": "Epoch", "seconds": "Seconds since the job started"}


@dataclass(frozen=True)
class Choice:
    """What is on view: a study, and which of its arms and seeds (None: all of them)."""

    study: StudyRow
    runs: Sequence[RunRow]
    arms: tuple[str, ...]
    chosen_arms: tuple[str, ...] | None
    seeds: tuple[int, ...] | None

    @property
    def shown_arms(self) -> tuple[str, ...]:
        """The arms that are drawn, in the study's order."""
        return self.chosen_arms or self.arms

    @property
    def shown_runs(self) -> list[RunRow]:
        """The current runs of the chosen arms and seeds."""
        seeds = None if self.seeds is None else set(self.seeds)
        return [
            run for run in self.runs if run.arm in self.shown_arms and (seeds is None or run.seed in seeds)
        ]


def arrive(view: str, lab: Lab | LabError | None = None) -> None:
    """Note which view is shown; on a change of view the shared controls take along what was chosen before.

    A short link leads here with a code alone, as servers cap addresses: the parameters are those of the
    view that was saved under it, and nothing of what was chosen before.
    """
    if isinstance(lab, Lab) and (code := st.query_params.get(SAVED)):
        try:
            saved = lab.store.catalog.saved_view(code)
        except LabError as error:
            fail(error)
        else:
            st.session_state.pop(_HELD, None)
            go(saved.view if lab.shows(saved.view) else view, saved.parameters)
    st.session_state[_MOVED] = st.session_state.get(_VIEW) != view
    st.session_state[_VIEW] = view


def here() -> Place:
    """Return what is on view, to be seen again: the study is named even where it is the default."""
    study = str(st.session_state.get("study") or "")
    parameters = {name: st.query_params.get_all(name) for name in st.query_params if name != SAVED}
    return Place(
        str(st.session_state.get(_VIEW, "")), study, parameters | ({"study": [study]} if study else {})
    )


def _bring(key: str, options: Sequence[str] | None = None) -> None:
    """Give a shared control its value from the view before; an address that names one goes first.

    Streamlit keeps a widget's value per page, and drops its part of the address on a change of page.
    """
    held = st.session_state.get(_HELD, {}).get(key)
    if held is None or not st.session_state.get(_MOVED) or key in st.query_params:
        return
    if isinstance(held, list):
        held = [value for value in held if options is None or value in options]
    elif options is not None and held not in options:
        return
    st.session_state[key] = held


def _hold(key: str, value: object) -> None:
    st.session_state.setdefault(_HELD, {})[key] = value


def study_picker(store: Store) -> StudyRow:
    """Ask which study; without any, stop the page with a word on how to get one."""
    rows = store.catalog.studies()
    if not rows:
        st.info(
            "This lab has no study yet. The view Studies says how to train one, the view Upload how to bring "
            "one from elsewhere.",
            icon=":material/science:",
        )
        st.stop()
    names = [row.name for row in rows]
    _bring("study", names)
    with st.sidebar:
        name = st.selectbox("Study", names, key="study", bind="query-params", help="What this page is about.")
    _hold("study", name)
    return rows[names.index(name)]


def choose(store: Store, arms: bool = True, seeds: bool = True) -> Choice:
    """Ask which study, arms and seeds; an empty choice of arms or seeds means all of them."""
    study = study_picker(store)
    runs = store.catalog.runs(study.name, archived=True)
    names = queries.arm_names(study, runs)
    chosen: list[str] = []
    picked: tuple[int, ...] | None = None
    with st.sidebar:
        if arms:
            _bring("arms", names)
            chosen = st.multiselect(
                "Arms",
                names,
                key="arms",
                bind="query-params",
                placeholder="All arms",
                help="Hiding an arm changes no number of another: bands are always over all runs "
                "of their arm.",
            )
            _hold("arms", chosen)
        if seeds:
            _bring("seeds")
            text = st.text_input(
                "Seeds",
                key="seeds",
                bind="query-params",
                placeholder="All seeds",
                help="Which seeds are drawn as lines, for example `0..7, 12`. Bands and tests "
                "keep every seed.",
            )
            _hold("seeds", text)
            picked = _parsed_seeds(text or "", {run.seed for run in runs})
    return Choice(study, runs, tuple(names), tuple(name for name in names if name in chosen) or None, picked)


def _parsed_seeds(text: str, known: set[int]) -> tuple[int, ...] | None:
    try:
        asked = parse_seeds(text)
    except LabError as error:
        st.warning(message(f"{error.message} {error.remedy}"))
        return None
    if asked is None:
        return None
    found = tuple(seed for seed in asked if seed in known)
    if not found:
        st.warning(f"No run has a seed among {coded(text)}; all seeds are shown.")
    return found or None


def parse_seeds(text: str) -> tuple[int, ...] | None:
    """Read seeds such as "0..7, 12"; None for an empty text, which means all.

    Raises:
        LabError: the text is not a list of seeds and ranges.
    """
    if not text.strip():
        return None
    seeds: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,7})\s*(?:(?:\.\.|-|–)\s*(\d{1,7})\s*)?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last - first > 100_000:
            raise LabError(
                "Seeds not understood",
                f"Seeds must be numbers and ranges; got `{text}`.",
                "Write for example `0..7, 12`.",
            )
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def metric_picker(known: dict[str, MetricRow], preferred: Iterable[str] = ("full_batch_risk",)) -> MetricRow:
    """Ask which metric; the default is the first preferred one that the study has."""
    rows = list(known.values())
    if not rows:
        st.info("This study has recorded no metric yet.", icon=":material/hourglass_empty:")
        st.stop()
    default = next((index for name in preferred for index, row in enumerate(rows) if row.name == name), 0)
    labels = [row.label for row in rows]
    _bring("metric", labels)
    with st.sidebar:
        label = st.selectbox("Metric", labels, index=default, key="metric", bind="query-params")
    _hold("metric", label)
    return rows[labels.index(label)]


def x_picker() -> Axis:
    """Ask what the horizontal axis shows."""
    _bring("x", X_AXES)
    with st.sidebar:
        chosen = st.segmented_control(
            "Horizontal axis",
            X_AXES,
            default="step",
            required=True,
            key="x",
            bind="query-params",
            width="stretch",
        )
    _hold("x", chosen)
    return chosen or "step"
