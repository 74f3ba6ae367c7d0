import itertools

import numpy as np
import pytest

from engine.analysis.latent import match


@pytest.mark.parametrize("seed", range(4))
def test_the_best_of_all_renamings(seed) -> None:
    rng = np.random.default_rng(seed)
    reference = [rng.integers(0, 4, size=n) for n in (30, 0, 11)]
    paths = [np.where(rng.random(len(each)) < 0.4, rng.integers(0, 4, len(each)), each) for each in reference]
    renaming = rng.permutation(4)
    paths = [renaming[each] for each in paths]
    mine, theirs = np.concatenate(paths), np.concatenate(reference)
    shares = {order: (np.array(order)[mine] == theirs).mean() for order in itertools.permutations(range(4))}
    found = match(paths, reference, 4, 4)
    assert found.agreement == pytest.approx(max(shares.values()))
    assert shares[tuple(found.states)] == pytest.approx(found.agreement)


def test_states_without_a_counterpart_are_matched_with_none() -> None:
    found = match([np.array([0, 0, 1, 2, 2])], [np.array([1, 1, 1, 0, 0])], 4, 2)
    assert found.states.tolist() == [1, -1, 0, -1]
    assert found.agreement == pytest.approx(0.8)


@pytest.mark.parametrize("reference", [[np.array([0])], [np.array([0, 1]), np.array([0])]])
def test_refuses_other_rows(reference) -> None:
    with pytest.raises(ValueError, match="the same rows"):
        match([np.array([0, 1])], reference, 2, 2)
    with pytest.raises(ValueError, match="at least one"):
        match([np.zeros(0, dtype=int)], [np.zeros(0, dtype=int)], 2, 2)
