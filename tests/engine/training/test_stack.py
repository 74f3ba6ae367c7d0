from collections import Counter

import numpy as np
import pytest
import torch

from engine.studies import Arm
from engine.training.orderings import ordering
from engine.training.stack import order, visited
from tests.engine.training.toys import seeds, stack_of, toy

BOTH = (Arm("SS", "SS"), Arm("RR", "RR"))


def poisoned(study, victims, everything=False):
    """Train two stretches with some replicas' weights made NaN before the second."""
    stack = stack_of(study, seeds(study, 0, 1, 2))
    stack.advance(8)
    for victim in victims:
        for value in stack.ensemble.parameters.values():
            value[victim] = torch.nan
    return stack.advance(16), stack


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.9},
        {"optimizer": "adam", "cadence": {"tail_average_risk": 8, "lyapunov": 8}},
        {"ordering": "GraB", "clip_norm": 0.5},
    ],
    ids=["momentum", "adam with a twin and a tail", "GraB clipped"],
)
def test_a_diverged_seed_is_frozen_recorded_and_touches_no_neighbour(changes):
    arms = {} if "ordering" in changes else {"arms": BOTH}
    study = toy(**{"evaluate_every": 8, "batch_size": 13, "epochs": 8} | arms | changes)
    (clean, _), (got, stack) = poisoned(study, []), poisoned(study, [1])
    everyone = clean.snapshot.rows.replicas
    assert clean.diverged == clean.kept[:-1] == []
    assert [(lost.replica, lost.step, lost.what) for lost in got.diverged] == [(1, 9, "batch_loss is nan")]
    survivors = [one for one in everyone if one != 1]
    assert list(stack.indices) == survivors
    rows, whole = [*got.losses, got.snapshot.measure()], clean.snapshot.measure()
    per_replica = Counter(int(which) for part in rows for which in part.replicas)
    assert per_replica == {one: 1 if one == 1 else 8 for one in everyone}
    for name, values in rows[-1].columns.items():
        # The twin's distance of 1e-8 has 8 digits.
        within = 1e-6 if name == "lyapunov" else 1e-11
        np.testing.assert_allclose(values, whole.columns[name][survivors], rtol=0, atol=within, err_msg=name)
    frozen = next(kept for kept in got.kept if list(kept.replicas) == [1])
    assert frozen.step == 9
    assert all(np.isnan(value).all() for value in frozen.parameters.values())


def test_neighbours_keep_their_bits_as_long_as_the_stack_keeps_its_size():
    """The step that a replica fails in is, for the others, the same to the last bit."""
    study = toy(evaluate_every=9, batch_size=13, epochs=8, arms=BOTH)
    weights = []
    for victims in ([], [0, 4]):
        stack = stack_of(study, seeds(study, 0, 1, 2))
        stack.take(8)
        for victim in victims:
            for value in stack.ensemble.parameters.values():
                value[victim] = torch.inf
        stack.take(1)
        stays = np.isin(np.arange(6), [1, 2, 3, 5])
        weights.append(stack.weights(stays).parameters)
    for name, value in weights[0].items():
        np.testing.assert_array_equal(value, weights[1][name])


def test_where_all_diverge_nothing_is_left_to_measure():
    study = toy(evaluate_every=8, batch_size=13, epochs=8)
    advance, stack = poisoned(study, [0, 1, 2])
    assert advance.snapshot is None
    assert {lost.replica for lost in advance.diverged} == {0, 1, 2}
    assert len(stack.indices) == 0
    assert [list(kept.replicas) for kept in advance.kept] == [[0, 1, 2]]


def test_a_divergence_found_late_is_reported_at_its_step():
    """On a GPU the losses are looked at once a stretch; the rows are the same."""
    study = toy(
        evaluate_every=16,
        lr=5.0,
        loss_bound=3.0,
        batch_size=13,
        epochs=8,
        model_settings={"width": 6, "depth": 1},
    )
    results = []
    for look_every in (1, 16):
        stack = stack_of(study, seeds(study, 0, 1, 2, 3))
        stack._look_every = look_every
        advance = stack.advance(16)
        rows = [*advance.losses, advance.snapshot.measure()]
        cells = {
            (int(part.replicas[at]), int(part.steps[at])): part.columns["batch_loss"][at]
            for part in rows
            for at in range(len(part.steps))
        }
        assert len(cells) == sum(len(part.steps) for part in rows)
        results.append((sorted(advance.diverged), cells))
    assert 0 < len(results[0][0]) < 4
    assert results[0][0] == results[1][0]
    assert results[0][1].keys() == results[1][1].keys()
    for key, loss in results[0][1].items():
        np.testing.assert_allclose(loss, results[1][1][key], rtol=1e-12)


def test_the_order_of_an_arm_is_told():
    arms = (Arm("RR", "RR"), Arm("RS2", "RS2", {}, {"fraction": 0.5}))
    study = toy(arms=arms)
    assert (order(study, arms[0], 3, 5) == ordering("RR").order(26, 3, 5)).all()
    assert (order(study, arms[1], 3, 5) == ordering("RS2").order(26, 3, 5, fraction=0.5)).all()
    assert [visited(study, arm) for arm in arms] == [26, 13]


def test_a_rehearsal_measures_everything():
    study = toy(cadence={"sharpness": 20, "l2": 0, "lyapunov": 40})
    found = stack_of(study, seeds(study, 0)).rehearse()
    assert {"sharpness", "lyapunov", "full_batch_risk", "gradient_norm"} < found.columns.keys()
    assert "l2" not in found.columns
    assert found.steps.tolist() == [1]
