import numpy as np
import pytest

from engine.analysis.latent.selection import choose, split, standard_error


@pytest.mark.parametrize(
    ("means", "errors", "expected"),
    [
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], 2),
        ([1.0, 2.95, 3.0], [0.1, 0.1, 0.1], 1),
        ([1.0, 2.95, 3.0, 2.99], [9.0, 0.0, 0.1, 9.0], 1),  # the error of the highest counts
        ([2.9, 2.0, 3.0], [0.1, 0.1, 0.11], 0),  # fewest, though the next fails
        ([1.0, 2.95, 3.0], [float("nan")] * 3, 2),
        ([5.0], [1.0], 0),
    ],
)
def test_one_standard_error(means, errors, expected) -> None:
    assert choose(means, errors) == expected


def test_standard_error() -> None:
    assert standard_error(np.array([1.0, 2.0, 4.0])) == pytest.approx((7 / 3 / 3) ** 0.5)
    assert np.isnan(standard_error(np.array([1.0])))


def test_groups_never_stand_on_both_sides() -> None:
    groups = [run // 4 for run in range(64)]
    training, held_out = split(range(64), groups, None, seed=0)
    assert sorted(training + held_out) == list(range(64))
    assert len(held_out) == 16
    assert not {groups[run] for run in training} & {groups[run] for run in held_out}


def test_split_depends_on_the_seed_and_on_the_set_of_groups_only() -> None:
    rng = np.random.default_rng(0)
    groups = [f"seed {i % 8}" for i in range(24)]
    held = {groups[run] for run in split(range(24), groups, None, 3)[1]}
    order = rng.permutation(24)
    shuffled = [groups[i] for i in order]
    assert {shuffled[run] for run in split(range(24), shuffled, None, 3)[1]} == held
    assert len({frozenset(split(range(24), groups, None, seed)[1]) for seed in range(8)}) > 1


@pytest.mark.parametrize(("n", "expected"), [(2, 1), (3, 1), (4, 1), (8, 2), (16, 4)])
def test_a_quarter_is_held_out_and_at_least_one(n, expected) -> None:
    assert len(split(range(n), list(range(n)), None, 0)[1]) == expected


def test_given_positions_are_held_out() -> None:
    assert split(range(4), ["a", "b", "b", "c"], [1, 2], 0) == ([0, 3], [1, 2])
    assert split([0, 1, 3], ["a", "b", "b", "c"], [1, 2], 0) == ([0, 3], [1])


@pytest.mark.parametrize(
    ("usable", "groups", "held_out", "message"),
    [
        ([0, 1], ["a", "a"], None, "at least two groups"),
        ([0, 1, 2], ["a", "b", "b"], [1], "run 2 of group 'b' would stay in training"),
        ([0, 1], ["a", "b"], [2], "positions of runs, 0 to 1; got 2"),
        ([0, 1], ["a", "b"], [], "none is left for holding out"),
        ([0, 1], ["a", "b"], [0, 1], "none is left for training"),
        ([1], ["a", "b"], [0], "none is left for holding out"),
    ],
)
def test_refuses_splits_that_leave_nothing(usable, groups, held_out, message) -> None:
    with pytest.raises(ValueError, match=message):
        split(usable, groups, held_out, 0)
