import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from data.errors import LabError
from engine.metrics import Metric, metrics
from engine.studies import Arm
from engine.training.device_data import DeviceData
from engine.training.loop import choose_device, replicas_of, train
from engine.training.record import Replica
from tests.engine.training.toys import CPU, ROWS, TOYS, gathered, ran, seeds, toy


def test_every_run_has_one_row_a_step_and_metrics_at_the_cadence():
    study = toy(arms=(Arm("a", "SS"), Arm("b", "RR", {"norm": "none"})), evaluate_every=6)
    replicas = seeds(study, 0, 3)
    got = ran(study, replicas)
    assert sorted(got.rows) == [(index, step) for index in range(4) for step in range(study.steps + 1)]
    done = [stretch.steps_done for stretch in got.stretches]
    assert done == sorted(done)
    assert done[-1] == study.steps * len(replicas)
    for (_, step), row in got.rows.items():
        assert ("batch_loss" in row) == (step > 0)
        evaluated = step % 6 == 0 or step == study.steps
        assert ("full_batch_risk" in row) == evaluated
        assert ("gradient_norm" in row) == (evaluated and step > 0)
        assert row["epoch"] == pytest.approx(step // 4 + min(step % 4 * 8, ROWS) / ROWS)


def test_epochs_count_the_examples_visited_where_a_round_is_a_subset():
    study = toy(ordering="RS2", fraction=0.5, evaluate_every=20)  # rounds of 13 examples: 8 and 5
    rows = ran(study, seeds(study, 0)).rows
    for step in (1, 2, 3, 4):
        assert rows[0, step]["epoch"] == pytest.approx((8, 13, 21, 26)[step - 1] / ROWS)


def test_metrics_are_measured_on_their_cadence_and_at_both_ends():
    cadence = {"l2": 4, "l1": 8, "trace": 0, "distance_from_init": 12}
    study = toy(evaluate_every=4, epochs=7, cadence=cadence, batch_size=13)  # 14 steps
    got = ran(study, seeds(study, 0))
    at = {
        name: set(got.column(name))
        for name in ("l2", "l1", "trace", "distance_from_init", "mean_w", "sharpness")
    }
    every = {0, 4, 8, 12, 14}
    assert at == {
        "l2": every,
        "l1": {0, 8, 14},
        "trace": set(),
        "distance_from_init": {0, 12, 14},
        "mean_w": every,
        "sharpness": set(),
    }


def test_checkpoints_are_kept_at_their_steps_and_at_the_end():
    arms = (Arm("a", "SS"), Arm("b", "RR"), Arm("c", "SS", training={"epochs": 2}))
    study = toy(arms=arms, checkpoints=(0, 10), batch_size=13, epochs=8)
    got = ran(study, seeds(study, 0, 5))
    expected = {(which, step) for which in range(4) for step in (0, 10, 16)}
    assert got.kept.keys() == expected | {(which, step) for which in (4, 5) for step in (0, 4)}
    for (which, step), weights in got.kept.items():
        assert {name: value.shape for name, value in weights.items()} == {
            "hidden.0.linear.weight": (6, 5),
            "hidden.0.norm.weight": (6,),
            "hidden.0.norm.bias": (6,),
            "head.weight": (3, 6),
            "head.bias": (3,),
        }
        norms = [np.linalg.norm(weights[name]) for name in ("hidden.0.linear.weight", "head.weight")]
        assert np.mean(norms) == pytest.approx(got.rows[which, step]["l2"], rel=1e-12)
    # The same seed begins at the same weights in every arm.
    for name, value in got.kept[0, 0].items():
        assert (value == got.kept[2, 0][name]).all()


def test_a_run_that_reaches_its_goal_ends_there_and_changes_no_other():
    study = toy(batch_size=13, epochs=15, evaluate_every=5, checkpoints=(10,))
    free = ran(study, seeds(study, 0, 1, 2, 3))
    risks = [free.column("full_batch_risk", which) for which in range(4)]
    goal = sorted(min(one.values()) for one in risks)[1] + 1e-6  # two of four reach it
    got = ran(dataclasses.replace(study, stop_below={"full_batch_risk": goal}), seeds(study, 0, 1, 2, 3))
    ends = {
        which: next((step for step, risk in risks[which].items() if risk <= goal), None) for which in range(4)
    }
    assert sum(end is not None for end in ends.values()) == 2
    assert {one.replica: one.step for one in got.converged} == {
        which: end for which, end in ends.items() if end
    }
    assert all(f"at or below {goal:g}" in one.what for one in got.converged)
    for which, end in ends.items():
        rows = {step for one, step in got.rows if one == which}
        assert rows == set(range((end or study.steps) + 1))
        assert (which, end or study.steps) in got.kept
        for step in rows:
            for name, value in free.rows[which, step].items():
                np.testing.assert_allclose(got.rows[which, step][name], value, rtol=0, atol=1e-12)
    assert got.stretches[-1].steps_done == 4 * study.steps


def test_a_run_stops_above_a_goal_too_and_at_a_checkpoint_its_weights_are_kept_once():
    study = toy(evaluate_every=5, checkpoints=(5,), stop_above={"train_accuracy": 0.01})
    got = ran(study, seeds(study, 0, 1))
    assert {(one.replica, one.step) for one in got.converged} == {(0, 5), (1, 5)}
    assert got.kept.keys() == {(0, 5), (1, 5)}
    assert max(step for _, step in got.rows) == 5


@pytest.mark.parametrize("metric", ["lyapunov", "tail_average_risk", "excess_risk"])
def test_a_run_stops_by_a_metric_that_needs_something_to_run_along(metric):
    model = {"depth": 0, "normalize_inputs": True, "bias": False, "affine": "scale"}
    changes = {"dataset": "toy-values", "model": "linear-network", "model_settings": model, "lr": 0.01}
    study = toy(stop_below={metric: 100.0}, evaluate_every=5, batch_size=4, **changes)
    (ended,) = ran(study, seeds(study, 0)).converged
    assert ended.what.startswith(f"{metric} is ")
    assert ended.step == (15 if metric == "tail_average_risk" else 5)  # the average begins in epoch 3 of 5


DIVERGING = {"model_settings": {"width": 6, "depth": 1}, "batch_size": 13, "epochs": 16, "evaluate_every": 7}


def test_a_loss_above_the_bound_ends_a_run_and_no_other():
    study = toy(lr=5.0, loss_bound=3.0, **DIVERGING)
    free = ran(dataclasses.replace(study, loss_bound=None), seeds(study, 0, 1, 2, 3))
    got = ran(study, seeds(study, 0, 1, 2, 3))
    ends = {}
    for which in range(4):
        losses = free.column("batch_loss", which)
        ends[which] = next((step for step, loss in losses.items() if loss > 3.0), study.steps)
    assert {lost.replica: lost.step for lost in got.diverged} == {
        which: end for which, end in ends.items() if end < study.steps
    }
    assert 0 < len(got.diverged) < 4
    for which, end in ends.items():
        assert {step for one, step in got.rows if one == which} == set(range(end + 1))
        assert (which, end) in got.kept
        got_losses = got.losses(which)
        np.testing.assert_allclose(got_losses, free.losses(which)[:end], rtol=1e-12)
    assert got.stretches[-1].steps_done == 4 * study.steps


def test_training_goes_on_when_every_seed_of_a_stack_diverged():
    arms = (Arm("fine", "SS"), Arm("wild", "SS", training={"lr": 1e200}))
    study = toy(arms=arms, **DIVERGING)
    got = ran(study, seeds(study, 0, 1))
    assert {lost.replica for lost in got.diverged} == {2, 3}
    for lost in got.diverged:
        assert max(step for which, step in got.rows if which == lost.replica) == lost.step
        assert not np.isfinite(got.rows[lost.replica, lost.step]["batch_loss"])
    assert (0, study.steps) in got.rows
    assert got.stretches[-1].steps_done == 4 * study.steps


def test_arms_of_one_architecture_share_a_stack_whatever_their_ordering():
    arms = (Arm("a", "SS"), Arm("b", "WR"), Arm("c", "GraB"), Arm("d", "RS2", {}, {"fraction": 0.5}))
    study = toy(arms=arms, batch_size=13, evaluate_every=5)
    got = ran(study, seeds(study, 0), due=lambda stack: True)
    assert {stretch.state.stack for stretch in got.stretches if stretch.state} == {0, 1}
    assert len(got.rows) == 4 * (study.steps + 1)


def test_stacks_share_one_copy_of_the_same_data(monkeypatch):
    loads, load = [], DeviceData.of
    monkeypatch.setattr(
        "engine.training.loop.DeviceData.of", lambda *args: (loads.append(args[0]), load(*args))[1]
    )
    noisy = Arm("c", "RR", training={"label_noise": 0.2})
    study = toy(arms=(Arm("a", "RR"), Arm("b", "RR", {"width": 3}), noisy), epochs=1, batch_size=13)
    got = ran(study, seeds(study, 0, 1), at_once=1)
    assert [alone.label_noise for alone in loads] == [0.0, 0.2]
    clean = ran(toy(epochs=1, batch_size=13), seeds(toy(), 0))
    assert got.losses(0) == pytest.approx(clean.losses(0), abs=1e-12)
    assert got.losses(4) != pytest.approx(clean.losses(0), abs=1e-3)


def test_splitting_a_stack_changes_no_replica():
    study = toy(batch_size=13, ordering="GraB", momentum=0.5)
    whole, split = (ran(study, seeds(study, *range(5)), at_once=size) for size in (None, 2))
    assert whole.rows.keys() == split.rows.keys()
    for key, row in whole.rows.items():
        for name, value in row.items():
            np.testing.assert_allclose(split.rows[key][name], value, rtol=1e-12, atol=1e-12)


def test_a_metric_that_fails_ends_the_training_with_its_error(monkeypatch):
    def fail(state):
        raise RuntimeError("no such number")

    metric = Metric("It", "", "x", "here", False, fail)
    monkeypatch.setitem(metrics(), "broken", metric)
    study = toy()
    with pytest.raises(RuntimeError, match="no such number"):
        list(train(study, seeds(study, 0), CPU))


def test_closing_the_iterator_stops_the_training_and_its_threads(monkeypatch):
    ended = []
    shutdown = ThreadPoolExecutor.shutdown
    monkeypatch.setattr(
        ThreadPoolExecutor, "shutdown", lambda self, **how: (ended.append(self), shutdown(self, **how))[1]
    )
    before = torch.get_num_threads()
    training = train(toy(), seeds(toy(), 0), CPU)
    next(training)
    training.close()
    assert len(ended) == 1
    assert torch.get_num_threads() == before
    with pytest.raises(StopIteration):
        next(training)


def test_a_full_device_is_an_error_that_says_what_to_do(monkeypatch):
    def full(*args):
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    monkeypatch.setattr("engine.training.loop.Stack", full)
    with pytest.raises(LabError, match=r"1 replicas of `toy` do not fit on cpu.*2 GiB") as error:
        list(train(toy(), seeds(toy(), 0), CPU))
    assert "--seeds" in error.value.remedy


def test_replicas_go_arm_by_arm_in_the_studys_order():
    study = toy(arms=(Arm("a", "SS"), Arm("b", "RR"), Arm("c", "RR")))
    assert replicas_of(study, ["c", "a"], [4, 2]) == [
        Replica("a", 4),
        Replica("a", 2),
        Replica("c", 4),
        Replica("c", 2),
    ]
    assert [one.arm for one in replicas_of(study, [], [0])] == ["a", "b", "c"]
    with pytest.raises(LabError, match="no arm `d`"):
        replicas_of(study, ["d"], [0])


def test_data_that_go_away_meanwhile_are_not_missed(tmp_path):
    path, split = tmp_path / "mine.npz", TOYS["toy-classes"].load()
    np.savez(path, **split._asdict())
    study = toy(dataset="npz", dataset_settings={"path": str(path)})
    stretches = train(study, seeds(study, 0), CPU)
    first = next(stretches)
    path.unlink()
    rest = gathered([first, *stretches])
    alike = toy()
    expected = ran(alike, seeds(alike, 0))
    assert rest.rows == expected.rows
    assert rest.kept.keys() == expected.kept.keys()


def test_devices():
    assert choose_device("cpu") == CPU
    with pytest.raises(LabError, match="tpu") as error:
        choose_device("tpu")
    assert "auto, cpu or cuda" in error.value.remedy
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(LabError, match="no CUDA device"):
            choose_device("cuda")
