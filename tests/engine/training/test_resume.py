"""A training that goes on from states is the one that was never interrupted, bit for bit."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.metrics import metrics
from engine.studies import Arm
from engine.training.grouping import groups
from engine.training.record import StackState
from tests.engine.training.toys import Ran, gathered, ran, seeds, toy

FEW = {"full_batch_risk": 7, "own_batch_risk": 7, "update_norm": 7}  # an epoch has 2 steps: amid epochs too
CADENCE = dict.fromkeys(metrics(), 0) | FEW


def study_of(cadence=None, **changes):
    settings = {"batch_size": 13, "epochs": 16, "evaluate_every": 7, "cadence": CADENCE | (cadence or {})}
    return toy(**settings | changes)


CASES = {
    "momentum": {"momentum": 0.9},
    "adam": {"optimizer": "adam", "lr": 0.02},
    "schedule": {"schedule": "cosine", "warmup_steps": 12, "clip_norm": 0.5},
    "GraB": {"ordering": "GraB", "momentum": 0.5},
    "PairBalance": {"ordering": "PairBalance"},
    "tail average": {"cadence": {"tail_average_risk": 7}},
    "twin": {"cadence": {"lyapunov": 7}, "optimizer": "adam", "lr": 0.02},
    "twin of momentum": {"cadence": {"lyapunov": 14}, "momentum": 0.9},
    "ReDo": {"redo_every": 6, "redo_threshold": 0.7, "optimizer": "adam", "lr": 0.05},
    "early stop": {"stop_below": {"full_batch_risk": 1.031}},
    "diverging": {"lr": 5.0, "loss_bound": 3.0, "model_settings": {"width": 6, "depth": 1}},
    "label noise": {"label_noise": 0.3, "weight_decay": 0.01},
    "RS2": {"ordering": "RS2", "fraction": 0.5},
}


def later(whole: Ran, states, members) -> tuple[set, set]:
    """Return the keys of rows and of weights that a training from these states has to report."""
    begun = {replica: None for part in members for replica in part}
    for state in states:
        for replica in members[state.stack]:
            begun[replica] = state.step if replica in state.replicas else np.inf
    rows = {key for key in whole.rows if begun[key[0]] is None or key[1] > begun[key[0]]}
    kept = {key for key in whole.kept if begun[key[0]] is None or key[1] > begun[key[0]]}
    return rows, kept


def assert_same_from(study, replicas, whole: Ran, states) -> None:
    members = groups(study, replicas)
    again = ran(study, replicas, states=states)
    rows, kept = later(whole, states, members)
    assert again.rows.keys() == rows
    assert again.kept.keys() == kept
    for key in rows:
        assert again.rows[key].keys() == whole.rows[key].keys()
        for name, value in again.rows[key].items():
            np.testing.assert_array_equal(value, whole.rows[key][name], err_msg=f"{key} {name}")
    for key in kept:
        for name, value in again.kept[key].items():
            np.testing.assert_array_equal(value, whole.kept[key][name], err_msg=f"{key} {name}")
    gone = {lost for lost in whole.diverged if (lost.replica, lost.step) in rows}
    assert set(again.diverged) == gone
    assert set(again.converged) == {one for one in whole.converged if (one.replica, one.step) in rows}
    total = sum(study.of(replica.arm).steps for replica in replicas)
    assert again.stretches[-1].steps_done == total


SINGLE = ["GraB", "ReDo", "adam", "momentum"]


@pytest.mark.usefixtures("recorded_at_once")
@pytest.mark.parametrize(
    ("name", "dtype"), [*((one, "float64") for one in sorted(CASES)), *((one, "float32") for one in SINGLE)]
)
def test_going_on_gives_the_same_bits(name, dtype):
    study = study_of(dtype=dtype, **CASES[name])
    replicas = seeds(study, 0, 1, 2, 3)
    whole = ran(study, replicas, due=lambda stack: True)
    states = [stretch.state for stretch in whole.stretches if stretch.state is not None]
    assert [state.step for state in states] == sorted({state.step for state in states})
    if name in ("early stop", "diverging"):
        left = {one.replica: one.step for one in (*whole.diverged, *whole.converged)}
        assert 0 < len(left) < 4
        states = [state for state in states if any(step < state.step for step in left.values())]
        assert states
    if "ordering" in CASES[name]:
        states = [state for state in states if state.step % 2]  # amid an epoch, whose order is under way
    rng = np.random.default_rng(sorted(CASES).index(name))
    assert_same_from(study, replicas, whole, [states[rng.integers(len(states))]])


def test_stacks_of_different_lengths_go_on_from_where_each_stood():
    arms = (
        Arm("long", "RR"),
        Arm("short", "GraB", training={"epochs": 5, "momentum": 0.9}),
        Arm("other", "SS", {"norm": "none"}),
        Arm("unseen", "SS", {"width": 4}, training={"epochs": 2}),
    )
    study = study_of(arms=arms, checkpoints=(0, 7, 14))
    replicas = seeds(study, 0, 1)
    whole = ran(study, replicas, due=lambda stack: True)
    rng = np.random.default_rng(4)
    by_stack: dict[int, list[StackState]] = {}
    for stretch in whole.stretches:
        if stretch.state is not None:
            by_stack.setdefault(stretch.state.stack, []).append(stretch.state)
    assert sorted(by_stack) == [0, 1, 2]  # two epochs of the last are over before its first evaluation
    chosen = [states[rng.integers(len(states))] for states in by_stack.values()]
    assert len({state.step for state in chosen}) > 1
    assert_same_from(study, replicas, whole, chosen)


def test_a_kill_at_any_stretch_loses_nothing():
    """Rows acknowledged before the kill, up to each stack's last state, and those after it: all, once."""
    study = study_of(arms=(Arm("a", "RR"), Arm("b", "SS", training={"momentum": 0.9})), checkpoints=(0, 14))
    replicas = seeds(study, 0, 1)
    asked = iter([False, True, False, False, True, False, True] * 9)
    whole = ran(study, replicas, due=lambda stack: next(asked))
    members = groups(study, replicas)
    for cut in np.random.default_rng(0).choice(len(whole.stretches), 2, replace=False):
        before = whole.stretches[:cut]
        states = {one.state.stack: one.state for one in before if one.state is not None}
        rows, kept = later(whole, list(states.values()), members)
        assert gathered(before).rows.keys() >= whole.rows.keys() - rows
        assert gathered(before).kept.keys() >= whole.kept.keys() - kept
        assert_same_from(study, replicas, whole, list(states.values()))


@pytest.mark.parametrize(
    "name", ["momentum", "adam", "GraB", "PairBalance", "tail average", "twin", "early stop"]
)
def test_a_state_survives_a_file(name, tmp_path):
    study = study_of(**CASES[name])
    replicas = seeds(study, 0, 1, 2)
    whole = ran(study, replicas, due=lambda stack: True)
    state = [one.state for one in whole.stretches if one.state is not None][-1]
    save_file(dict(state.tensors), tmp_path / "state.safetensors")
    loaded = load_file(tmp_path / "state.safetensors")
    assert {key: (value.shape, value.dtype) for key, value in loaded.items()} == {
        key: (value.shape, value.dtype) for key, value in state.tensors.items()
    }
    for key, value in loaded.items():
        assert key.startswith("shared/") == (value.shape[:1] != state.replicas.shape), key
    assert (() in {value.shape for value in loaded.values()}) == (name not in ("momentum", "early stop"))
    assert_same_from(study, replicas, whole, [state._replace(tensors=loaded)])


def test_a_state_is_a_copy():
    study = study_of(optimizer="adam")
    first = ran(study, seeds(study, 0), due=lambda stack: True).stretches[1].state
    assert first is not None
    assert all(value.flags.owndata for value in first.tensors.values())
    before = {name: value.copy() for name, value in first.tensors.items()}
    ran(study, seeds(study, 0), states=[first])
    for name, value in before.items():
        np.testing.assert_array_equal(first.tensors[name], value)


def test_a_state_of_other_replicas_is_refused():
    study = study_of()
    seen = ran(study, seeds(study, 0, 1), due=lambda stack: True).stretches
    state = next(one.state for one in seen if one.state)
    with pytest.raises(ValueError, match="must be of replicas"):
        ran(study, seeds(study, 0), states=[state])
