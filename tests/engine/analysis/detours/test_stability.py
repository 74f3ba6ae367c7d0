import numpy as np
import pytest

from engine.analysis.detours import Refits, find, refits_of, stability

START, PLATEAU, DETOUR, TWIN, REPLACEMENT, SHORTCUT = range(6)
FAST = {"permutations": 999, "draws": 300}


def refits(worlds_paths: list[list[np.ndarray]], counts: np.ndarray) -> Refits:
    """One list of paths for each refit, as they are kept."""
    runs = [np.array(each).astype(np.int8) for each in zip(*worlds_paths, strict=True)]
    return Refits(runs, counts.astype(np.int16))


def samples(n_refits: int, n_runs: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    drawn = rng.integers(n_runs, size=(n_refits, n_runs))
    return np.array([np.bincount(each, minlength=n_runs) for each in drawn])


def blurred(paths: list[np.ndarray], seed: int, rows: int = 4) -> list[np.ndarray]:
    """Every change of state up to some rows earlier."""
    rng = np.random.default_rng(seed)
    found = []
    for path in paths:
        other = path.copy()
        for t in np.flatnonzero(np.diff(path)) + 1:
            other[max(0, t - int(rng.integers(0, rows))) : t] = path[t]
        found.append(other)
    return found


def test_it_is_the_share_of_refits_that_find_the_state_again(worlds) -> None:
    world = worlds.planted(0)
    merged = [np.where(path == DETOUR, PLATEAU, path) for path in world.paths]
    four = refits([world.paths, world.paths, merged, world.paths], np.ones((4, 40)))
    assert stability(four, world.converged_at, 10)[DETOUR] == 0.75
    found = find(world.paths, world.converged_at, 10, refits=four, **FAST)
    assert (found[DETOUR].is_detour, found[DETOUR].stability) == (True, 0.75)
    assert np.isnan(found[PLATEAU].stability)  # not optional, so not tested


def test_each_refit_is_judged_on_its_own_sample_and_states(worlds) -> None:
    world = worlds.planted(0, delay=35.0)
    others = [blurred(world.paths, seed) for seed in range(6)]
    counts = samples(6, 40)
    at = [None if step is None else 32 * step for step in world.converged_at]
    share = np.zeros(10)
    for paths, count in zip(others, counts, strict=True):
        drawn = [run for run in range(40) for _ in range(count[run])]
        again = find(
            [paths[run] for run in drawn],
            [at[run] for run in drawn],
            10,
            3,
            steps=[32 * np.arange(len(paths[run])) for run in drawn],
            permutations=499,
            draws=20,
        )
        share += [each.p_adjusted <= 0.05 and each.joint_delay > 0 for each in again]
    steps = [32 * np.arange(len(path)) for path in world.paths]
    found = stability(refits(others, counts), at, 10, 3, steps=steps)
    np.testing.assert_array_equal(found, share / 6)
    assert 0 < found[DETOUR] < 1


def test_a_planted_detour_is_stable_and_its_decoys_are_not(worlds) -> None:
    shares = []
    for seed in range(8):
        world = worlds.planted(seed)
        other = refits([blurred(world.paths, 50 * seed + k) for k in range(25)], samples(25, 40, seed))
        shares.append(stability(other, world.converged_at, 10))
    means = np.mean(shares, axis=0)
    assert means[DETOUR] > 0.75
    assert means[[START, PLATEAU, TWIN, REPLACEMENT, SHORTCUT]].max() < 0.15


def test_a_state_without_counterpart_is_nobodys(worlds) -> None:
    world = worlds.planted(0)
    lost = [np.where(path == DETOUR, -1, path) for path in world.paths]
    found = stability(refits([lost, lost], np.ones((2, 40))), world.converged_at, 10)
    assert found.shape == (10,)
    assert found[DETOUR] == 0


def test_runs_may_be_chosen_from_a_stored_fit(worlds) -> None:
    world = worlds.planted(0)
    counts = samples(5, 40)
    others = [blurred(world.paths, seed) for seed in range(5)]
    arrays = {
        "path": np.concatenate(world.paths),
        "offsets": np.cumsum([0, *map(len, world.paths)]),
        "refit_path": np.array([np.concatenate(each) for each in others], dtype=np.int8),
        "refit_counts": counts.astype(np.int16),
    }
    chosen = list(range(0, 40, 2))
    part = refits_of(arrays, chosen)
    at = [world.converged_at[run] for run in chosen]
    expected = stability(
        refits([[each[run] for run in chosen] for each in others], counts[:, chosen]), at, 10
    )
    np.testing.assert_array_equal(stability(part, at, 10), expected)
    assert refits_of({"path": arrays["path"]}) is None


def test_samples_without_enough_runs_find_nothing(worlds) -> None:
    world = worlds.planted(0)
    counts = np.zeros((3, 40))
    counts[1, 5] = 2
    paths = [*world.paths[:39], np.zeros(0, dtype=int)]  # and a run left out of the fit
    found = stability(refits([paths] * 3, counts), [*world.converged_at[:39], None], 10)
    np.testing.assert_array_equal(found, np.zeros(10))
    none = stability(
        refits([paths], counts[:1])._replace(counts=counts[:0].astype(np.int16)), [None] * 40, 10
    )
    assert np.isnan(none).all()


def test_refits_of_other_runs_are_refused(worlds) -> None:
    world = worlds.planted(0)
    with pytest.raises(ValueError, match="`converged_at`"):
        stability(refits([world.paths], np.ones((1, 40))), world.converged_at[:39], 10)
    with pytest.raises(ValueError, match="must hold states 0 to 2"):
        stability(refits([world.paths], np.ones((1, 40))), world.converged_at, 2)
