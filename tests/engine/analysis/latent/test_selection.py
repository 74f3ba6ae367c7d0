import numpy as np
import pytest

from engine.analysis.latent.selection import FOLDS, by_group, choose, folds, standard_error


@pytest.mark.parametrize(
    ("means", "errors", "expected"),
    [
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], 2),
        ([1.0, 2.95, 3.0], [0.1, 0.1, 0.1], 1),
        ([1.0, 2.95, 3.0, 2.99], [9.0, 0.0, 0.1, 9.0], 1),  # the error of the highest counts
        ([2.9, 2.0, 3.0], [0.1, 0.1, 0.11], 0),  # fewest, though the next fails
        ([5.0], [1.0], 0),
    ],
)
def test_one_standard_error(means, errors, expected) -> None:
    assert choose(means, errors) == expected


def test_standard_error() -> None:
    assert standard_error(np.array([1.0, 2.0, 4.0])) == pytest.approx((7 / 3 / 3) ** 0.5)


@pytest.mark.parametrize("n_groups", [2, 3, 5, 16])
def test_every_run_is_held_out_once_with_its_group(n_groups) -> None:
    groups = [run % n_groups for run in range(64)]
    found = folds(range(64), groups, seed=0)
    assert len(found) == min(FOLDS, n_groups)
    assert sorted(run for fold in found for run in fold) == list(range(64))
    members = [{groups[run] for run in fold} for fold in found]
    assert sum(map(len, members)) == n_groups
    assert max(map(len, members)) - min(map(len, members)) <= 1


def test_folds_depend_on_the_seed_and_on_the_set_of_groups_only() -> None:
    groups = [f"seed {i % 8}" for i in range(24)]
    found = [{groups[run] for run in fold} for fold in folds(range(24), groups, 3)]
    order = np.random.default_rng(0).permutation(24)
    shuffled = [groups[i] for i in order]
    assert [{shuffled[run] for run in fold} for fold in folds(range(24), shuffled, 3)] == found
    assert [{groups[run] for run in fold} for fold in folds(range(24), groups, 4)] != found


def test_runs_that_cannot_be_used_are_in_no_fold() -> None:
    found = folds([1, 2, 4], [0, 1, 2, 3, 4], 0)
    assert sorted(run for fold in found for run in fold) == [1, 2, 4]


def test_one_group_has_nothing_to_hold_out() -> None:
    with pytest.raises(ValueError, match=r"at least two groups .* got 1\. Train more seeds"):
        folds([0, 1], ["a", "a"], 0)


def test_groups_are_averaged_in_the_order_they_come() -> None:
    found = by_group(np.array([1.0, 5.0, 3.0, 7.0]), ["b", "a", "b", "a"])
    np.testing.assert_array_equal(found, [2.0, 6.0])
