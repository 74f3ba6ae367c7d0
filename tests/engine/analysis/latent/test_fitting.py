import inspect

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.optimize import linear_sum_assignment

from engine.analysis.latent import LatentModel, Selection, Stopped, decode, fit
from engine.analysis.latent.fitting import first_visits

NAMES = ["a", "b", "c", "d", "e"]


def same_model(one: LatentModel, other: LatentModel) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("startprob", "transmat", "means", "covars")
    )


def agreement(found: list[np.ndarray], truth: list[np.ndarray], n_states: int) -> float:
    """Share of rows on which two labellings agree, after the best renaming."""
    table = np.zeros((n_states, n_states))
    np.add.at(table, (np.concatenate(found), np.concatenate(truth)), 1)
    return float(table[linear_sum_assignment(-table)].sum() / table.sum())


@pytest.fixture(scope="module")
def two(chains) -> tuple[list[np.ndarray], Selection]:
    runs = chains(2, n_runs=12, n_steps=60).runs
    return runs, fit(runs, NAMES, n_states=[3, 1, 2, 2], restarts=4)


@pytest.mark.parametrize("normalize", ["per-run", "pooled"])
@pytest.mark.parametrize("n_states", [2, 4])
def test_recovers_the_states_of_a_known_chain(chains, n_states, normalize) -> None:
    runs, paths = chains(n_states, n_metrics=10)
    names = [f"metric {i}" for i in range(10)]
    selection = fit(runs, names, n_states=range(1, n_states + 3), restarts=4, normalize=normalize)
    assert selection.best.n_states == n_states
    assert agreement(selection.best.paths, paths, n_states) > 0.9
    if normalize == "pooled":  # z-scoring runs one by one shifts each by its own share of states: a misfit
        assert min(selection.table, key=lambda row: row.bic).n_states == n_states


@pytest.mark.parametrize("covariance", ["diag", "full"])
def test_one_cloud_is_one_state(covariance) -> None:
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(60, 3)) for _ in range(12)]
    assert (
        fit(runs, ["a", "b", "c"], n_states=[1, 2, 3], restarts=3, covariance=covariance).best.n_states == 1
    )


def test_full_covariances_recover_what_diagonal_ones_cannot() -> None:
    rng = np.random.default_rng(0)
    roots = [np.array([[1.0, 0.0], [0.95, 0.3]]), np.array([[1.0, 0.0], [-0.95, 0.3]])]
    runs, paths = [], []
    for _ in range(16):
        path = np.repeat(rng.permutation([0, 1, 0, 1]), 25)
        paths.append(path)
        runs.append(np.array([roots[k] @ rng.normal(size=2) for k in path]))
    selection = fit(runs, ["a", "b"], n_states=[1, 2, 3], restarts=5, covariance="full", normalize="pooled")
    assert selection.best.n_states == 2
    assert agreement(selection.best.paths, paths, 2) > 0.9


def test_table_says_what_the_parts_say(two) -> None:
    runs, selection = two
    assert [row.n_states for row in selection.table] == [1, 2, 3]
    best, trust = selection.best, selection.trust
    row = selection.table[1]
    assert best.n_states == 2
    model = GaussianHMM(2, covariance_type="diag", implementation="log")
    model.startprob_, model.transmat_, model.means_ = best.startprob, best.transmat, best.means
    model.covars_ = best.covars
    scaled = [best.scaling.apply(run) for run in runs]
    scores = [model.score(scaled[run]) / 60 for run in trust.held_out]
    assert row.heldout_logliks == pytest.approx(tuple(scores))
    assert row.heldout_loglik == pytest.approx(np.mean(scores))
    assert row.heldout_se == pytest.approx(np.std(scores, ddof=1) / len(scores) ** 0.5)
    train = sum(model.score(scaled[run]) for run in trust.training)
    observations = 60 * len(trust.training)
    assert row.train_loglik == pytest.approx(train / observations)
    assert row.parameters == 1 + 2 + 10 + 10
    assert row.bic == pytest.approx(-2 * train + 23 * np.log(observations))
    assert len(row.restart_logliks) == row.converged == 4
    assert max(row.restart_logliks) == row.train_loglik
    top = max(selection.table, key=lambda each: each.heldout_loglik)
    for each in selection.table:
        gaps = np.array(top.heldout_logliks) - np.array(each.heldout_logliks)
        assert each.shortfall == pytest.approx(gaps.mean(), abs=1e-12)
        assert each.shortfall_se == pytest.approx(np.std(gaps, ddof=1) / len(gaps) ** 0.5, abs=1e-12)
    assert sorted((*trust.training, *trust.held_out)) == list(range(12))
    assert "one standard error" in trust.rule


def test_decode_gives_back_the_paths_of_the_fit(two) -> None:
    runs, selection = two
    found = decode(selection.best, runs)
    for ours, theirs in zip(found.paths, selection.best.paths, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(found.posteriors, selection.best.posteriors, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_states_are_numbered_by_first_visit(chains) -> None:
    selection = fit(chains(4).runs, NAMES, n_states=[4], restarts=4)
    firsts = [
        np.mean([np.flatnonzero(path == k)[0] for path in selection.best.paths if (path == k).any()])
        for k in range(4)
    ]
    assert firsts == sorted(firsts)


def test_first_visits_by_hand() -> None:
    paths = [np.array([2, 2, 0, 0]), np.array([2, 0, 3, 3]), np.zeros(0, dtype=int)]
    # state 0 at rows 2 and 1, state 2 at 0 and 0, state 3 at 2 once; 1 and 4 never
    assert first_visits(paths, 5).tolist() == [2, 0, 3, 1, 4]


def test_the_same_seed_gives_the_same_bits(two) -> None:
    runs, selection = two
    again = fit(runs, NAMES, n_states=[1, 2, 3], restarts=4)
    assert again.table == selection.table
    assert same_model(again.best, selection.best)
    other = fit(runs, NAMES, n_states=[1, 2, 3], restarts=4, seed=1)
    assert other.trust.held_out != selection.trust.held_out


@pytest.mark.parametrize("grouped", [False, True])
def test_the_order_of_the_runs_does_not_matter(two, grouped) -> None:
    runs, _ = two
    groups = [index // 2 for index in range(12)] if grouped else None
    order = np.random.default_rng(0).permutation(12)
    first = fit(runs, NAMES, n_states=[1, 2], restarts=3, groups=groups)
    second = fit(
        [runs[i] for i in order],
        NAMES,
        n_states=[1, 2],
        restarts=3,
        groups=None if groups is None else [groups[i] for i in order],
    )
    assert second.table == first.table
    assert same_model(second.best, first.best)
    assert {int(order[i]) for i in second.trust.held_out} == set(first.trust.held_out)
    for position, index in enumerate(order):
        np.testing.assert_array_equal(second.best.paths[position], first.best.paths[index])


def test_one_number_of_states_does_not_depend_on_the_others_tried(two) -> None:
    runs, selection = two
    alone = fit(runs, NAMES, n_states=[2], restarts=4)
    assert same_model(alone.best, selection.best)


def test_held_out_runs_have_no_part_in_the_model(two) -> None:
    runs, _ = two
    first = fit(runs, NAMES, n_states=[2], restarts=3, held_out=[0, 1], normalize="pooled")
    changed = [runs[0] * 1.5 + 1, *runs[1:]]
    second = fit(changed, NAMES, n_states=[2], restarts=3, held_out=[0, 1], normalize="pooled")
    order = first_visits(second.best.paths, 2)
    assert same_model(first.best, second.best) or order.tolist() == [1, 0]
    np.testing.assert_allclose(np.sort(first.best.means, axis=0), np.sort(second.best.means, axis=0))
    assert first.table[0].heldout_loglik != second.table[0].heldout_loglik
    assert first.trust.held_out == second.trust.held_out == (0, 1) or set(first.trust.held_out) == {0, 1}


def test_paired_arms_stay_together(two) -> None:
    runs, _ = two
    groups = [index % 4 for index in range(12)]
    trust = fit(runs, NAMES, n_states=[1], groups=groups).trust
    assert {groups[i] for i in trust.held_out}.isdisjoint(groups[i] for i in trust.training)
    assert len(trust.held_out) == 3


def test_diverged_runs_are_cut_marked_and_never_filled(two) -> None:
    runs = [run.copy() for run in two[0]]
    runs[3][40, 1] = np.nan
    runs[4][20:, 0] = 1e30
    runs[7][0, 0] = -np.inf
    selection = fit(runs, NAMES, n_states=[2], restarts=3)
    lengths = [len(path) for path in selection.best.paths]
    assert [lengths[i] for i in (2, 3, 4, 7)] == [60, 40, 20, 0]
    assert [len(posterior) for posterior in selection.best.posteriors] == lengths
    assert selection.trust.left_out == (7,)
    assert [(each.run, each.row, each.metric) for each in selection.trust.cuts] == [
        (3, 40, "b"),
        (4, 20, "a"),
        (7, 0, "a"),
    ]
    # what stands after the cut has no influence
    runs[3][50:] = 17.0
    assert same_model(fit(runs, NAMES, n_states=[2], restarts=3).best, selection.best)


def test_float32_runs_of_many_lengths() -> None:
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(n, 2)).astype(np.float32) for n in (30, 5, 61, 4)]
    selection = fit(runs, ["a", "b"], n_states=[1, 2], restarts=2)
    assert [len(path) for path in selection.best.paths] == [30, 5, 61, 0]


def test_progress_is_told_and_can_stop(two) -> None:
    runs, _ = two
    seen: list[tuple[int, int]] = []
    fit(runs, NAMES, n_states=[1, 2], restarts=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(Stopped, match="after 2 of 4"):
        fit(runs, NAMES, n_states=[1, 2], restarts=3, progress=lambda done, total: done == 2)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(runs, NAMES, progress=interrupt)


def test_a_single_held_out_run_decides_without_an_error() -> None:
    rng = np.random.default_rng(0)
    selection = fit([rng.normal(size=(40, 2)) for _ in range(3)], ["a", "b"], n_states=[1, 2], restarts=2)
    assert len(selection.trust.held_out) == 1
    assert np.isnan(selection.table[0].heldout_se)
    assert "no standard error" in selection.trust.rule
    assert any("single held-out run" in each for each in selection.trust.warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_states": []}, "`n_states`"),
        ({"n_states": [0, 1]}, "`n_states`"),
        ({"restarts": 0}, "`restarts`"),
        ({"seed": -1}, "`seed`"),
        ({"covariance": "tied"}, "`covariance`"),
        ({"normalize": "minmax"}, "`normalize`"),
        ({"groups": [1, 2]}, "`groups` must label each of the 12 runs; got 2"),
        ({"groups": [1] * 12}, "at least two groups"),
        ({"held_out": [12]}, "`held_out`"),
        (
            {"n_states": [40], "runs": [np.random.default_rng(i).normal(size=(9, 5)) for i in range(12)]},
            "parameters",
        ),
        ({"runs": [np.full((9, 5), np.nan)] * 12}, "at least two groups with usable rows"),
        ({"runs": [np.ones((9, 5)) * i for i in range(12)]}, "every one was dropped"),
    ],
)
def test_refuses_what_cannot_be_fitted(two, change, message) -> None:
    given = {"runs": two[0], "metrics": NAMES, "restarts": 1} | change
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(fit)(**given)  # types are unchecked outside tests
