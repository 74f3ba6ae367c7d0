"""Seeds of one family are one run up to the fork of their orders, and runs of their own after it."""

import numpy as np
import pytest
import torch

from engine.metrics import metrics
from engine.studies import Arm, Study
from engine.training.record import Replica
from engine.training.siblings import Siblings
from tests.engine.training.test_resume import assert_same_from
from tests.engine.training.toys import Ran, ran, seeds, stack_of, toy

NONE = dict.fromkeys(metrics(), 0)
FORK, EPOCH = 3, 2  # an epoch of 26 rows in batches of 13 has 2 steps
AT = FORK * EPOCH


def family(**changes) -> Study:
    arms = (
        Arm("forked", "Forked", {}, {"fork": FORK, "children": 2}),
        Arm("at once", "Forked", {}, {"fork": 0, "children": 2}),
        Arm("RR", "RR"),
    )
    settings = {
        "children": 2,
        "batch_size": 13,
        "epochs": 6,
        "evaluate_every": 1,
        "cadence": NONE,
        "momentum": 0.9,
    }
    return toy(**settings | {"checkpoints": tuple(range(13)), "arms": arms} | changes)


def weights(found: Ran, replica: int, step: int) -> np.ndarray:
    return np.concatenate([value.ravel() for value in found.kept[replica, step].values()])


def parted(found: Ran, a: int, b: int) -> list[int]:
    """Return the steps at which two replicas' kept weights differ."""
    steps = sorted(step for which, step in found.kept if which == a)
    return [step for step in steps if not np.array_equal(weights(found, a, step), weights(found, b, step))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("at_once", [None, 2, 5])
def test_siblings_are_bit_equal_up_to_the_fork_and_differ_after_it(dtype, at_once):
    study = family(dtype=dtype)
    found = ran(study, seeds(study, 0, 1, 2, 3, 5), at_once=at_once)
    for a, b in ((0, 1), (2, 3)):
        assert parted(found, a, b) == list(range(AT + 1, 13))
        assert parted(found, a + 5, b + 5) == list(range(1, 13))
    assert parted(found, 1, 2) == list(range(13))  # of two families, from the start
    for replica in range(5, 10):  # with a fork at 0 the order is Random Reshuffle
        np.testing.assert_allclose(
            weights(found, replica, 12),
            weights(found, replica + 5, 12),
            rtol=0,
            atol=1e-4 if dtype == "float32" else 1e-12,
        )


CASES = {
    "ReDo": {"redo_every": 4, "redo_threshold": 0.9, "model_settings": {"width": 6, "depth": 1}},
    "Adam with a twin": {"optimizer": "adam", "momentum": 0.0, "cadence": NONE | {"lyapunov": 1}},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_whatever_goes_on_from_step_to_step_is_the_siblings_own_from_the_fork_on_only(changes):
    study = family(**changes)
    found = ran(study, seeds(study, 0, 1))
    assert parted(found, 0, 1) == list(range(AT + 1, 13))
    for name, value in found.rows[0, AT - 1].items():
        np.testing.assert_allclose(found.rows[1, AT - 1][name], value, rtol=1e-6, err_msg=name)


def test_a_sibling_that_left_leaves_the_others_as_they_are():
    study = family(children=3, arms=(Arm("it", "Forked", {}, {"fork": FORK, "children": 3}),))
    stack = stack_of(study, seeds(study, 0, 1, 2))
    stack.take(2)
    stack.keep(np.array([False, True, True]))
    stack.take(AT - 2)
    for value in stack.ensemble.parameters.values():
        assert (value[0] == value[1]).all()
    stack.take(1)
    assert any((value[0] != value[1]).any() for value in stack.ensemble.parameters.values())


def test_once_parted_they_stay_so_though_an_epoch_has_one_order_for_all():
    siblings = Siblings(["a", "a", "a", "b"], torch.device("cpu"))
    one, other = np.arange(3), np.arange(3)[::-1]
    siblings.visit([one, one, other, one])
    siblings.visit([one, one, one, one])
    values = {"w": torch.arange(8.0).reshape(4, 2)}
    siblings.tie([values])
    assert values["w"].tolist() == [[0, 1], [0, 1], [4, 5], [6, 7]]
    siblings.visit([one, other, one, one])
    assert not siblings.any


def test_seeds_that_share_nothing_are_never_tied():
    study = family(children=1, arms=(Arm("in order", "IGM"),))
    found = ran(study, seeds(study, 0, 1))
    assert parted(found, 0, 1) == list(range(13))


def test_siblings_trained_alone_are_those_trained_together():
    study = family()
    together = ran(study, seeds(study, 0, 1))
    alone = [ran(study, [Replica("forked", seed)]) for seed in (0, 1)]
    for step in range(13):
        assert np.array_equal(weights(alone[0], 0, step), weights(alone[1], 0, step)) == (step <= AT)
        for seed in (0, 1):
            np.testing.assert_allclose(
                weights(alone[seed], 0, step), weights(together, seed, step), rtol=0, atol=1e-12
            )


def test_a_family_begins_as_the_seed_of_its_number_does():
    shared, plain = family(children=3, epochs=1), family(children=1, epochs=1)
    found, usual = ran(shared, seeds(shared, 3, 4, 5)), ran(plain, seeds(plain, 1))
    for replica in range(3):
        np.testing.assert_array_equal(weights(found, replica, 0), weights(usual, 0, 0))


@pytest.mark.parametrize("step", [AT - 1, AT, AT + 1])
def test_a_training_goes_on_over_the_fork_to_the_same_bits(step):
    study = family(arms=family().arms[:1], cadence=NONE | {"distance_from_init": 1})
    replicas = seeds(study, 0, 1, 2, 3)
    whole = ran(study, replicas, due=lambda stack: True)
    (state,) = (one.state for one in whole.stretches if one.state is not None and one.state.step == step)
    assert_same_from(study, replicas, whole, [state])
