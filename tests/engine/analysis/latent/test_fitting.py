import inspect

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from scipy.optimize import linear_sum_assignment

from engine.analysis.latent import LatentModel, Selection, Stopped, decode, fit
from engine.analysis.latent.estimation import estimate
from engine.analysis.latent.fitting import first_visits
from engine.analysis.latent.parameters import Parameters
from engine.analysis.latent.preparation import stack
from engine.analysis.latent.starts import start

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
    return runs, fit(runs, NAMES, n_states=[3, 1, 2, 2], restarts=5)


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_one_cloud_is_one_state(covariance) -> None:
    rng = np.random.default_rng(0)
    runs = [rng.normal(size=(40, 3)) for _ in range(8)]
    assert fit(runs, ["a", "b", "c"], n_states=[1, 2], restarts=2, covariance=covariance).best.n_states == 1


def test_full_covariances_recover_what_diagonal_ones_cannot() -> None:
    rng = np.random.default_rng(0)
    roots = [np.array([[1.0, 0.0], [0.95, 0.3]]), np.array([[1.0, 0.0], [-0.95, 0.3]])]
    runs, paths = [], []
    for _ in range(16):
        path = np.repeat(rng.permutation([0, 1, 0, 1]), 25)
        paths.append(path)
        runs.append(np.array([roots[k] @ rng.normal(size=2) for k in path]))
    selection = fit(runs, ["a", "b"], n_states=[1, 2, 3], restarts=4, covariance="full", normalize="pooled")
    assert selection.best.n_states == 2
    assert agreement(selection.best.paths, paths, 2) > 0.9


def score(parameters: Parameters, run: np.ndarray) -> float:
    model = GaussianHMM(len(parameters.startprob), covariance_type="diag", implementation="log")
    model.startprob_, model.transmat_, model.means_ = (
        parameters.startprob,
        parameters.transmat,
        parameters.means,
    )
    model.covars_ = parameters.covars
    return model.score(run) / len(run)


def test_table_says_what_the_parts_say(two) -> None:
    runs, selection = two
    assert [row.n_states for row in selection.table] == [1, 2, 3]
    best, trust = selection.best, selection.trust
    row = selection.table[1]
    assert best.n_states == 2
    assert sorted(trust.runs) == list(range(12))
    scaled = [best.scaling.apply(runs[run]) for run in trust.runs]
    expected = {}
    for fold in trust.folds:
        X, lengths = stack([each for run, each in zip(trust.runs, scaled, strict=True) if run not in fold])
        climbs = []
        for kind in range(4):
            starts = [start(X, lengths, 2, "diag", number, 0) for number in range(kind, kind + 24, 4)]
            begun = max(starts, key=lambda each: estimate(X, lengths, each, max_steps=5).loglik)
            climbs.append(estimate(X, lengths, begun))
        parameters = max(climbs, key=lambda each: each.loglik).parameters
        expected |= {run: score(parameters, scaled[trust.runs.index(run)]) for run in fold}
    scores = [expected[run] for run in trust.runs]
    assert row.heldout_logliks == pytest.approx(tuple(scores))
    assert row.heldout_loglik == pytest.approx(np.mean(scores))
    assert row.heldout_se == pytest.approx(np.std(scores, ddof=1) / len(scores) ** 0.5)
    train = 60 * sum(score(best.parameters, run) for run in scaled)
    assert row.train_loglik == pytest.approx(train / 720)
    assert row.parameters == 1 + 2 + 10 + 10
    assert row.bic == pytest.approx(-2 * train + 23 * np.log(720))
    assert len(row.restart_logliks) == row.converged == 5
    assert max(row.restart_logliks) == row.train_loglik
    top = max(selection.table, key=lambda each: each.heldout_loglik)
    for each in selection.table:
        gaps = np.array(top.heldout_logliks) - np.array(each.heldout_logliks)
        assert each.shortfall == pytest.approx(gaps.mean(), abs=1e-12)
        assert each.shortfall_se == pytest.approx(np.std(gaps, ddof=1) / len(gaps) ** 0.5, abs=1e-12)
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
    again = fit(runs, NAMES, n_states=[1, 2, 3], restarts=5)
    assert again.table == selection.table
    assert same_model(again.best, selection.best)
    other = fit(runs, NAMES, n_states=[1], seed=1)
    assert other.trust.folds != selection.trust.folds


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
    assert [[int(order[i]) for i in fold] for fold in second.trust.folds] == list(
        map(list, first.trust.folds)
    )
    for position, index in enumerate(order):
        np.testing.assert_array_equal(second.best.paths[position], first.best.paths[index])


def test_one_number_of_states_does_not_depend_on_the_others_tried(two) -> None:
    runs, selection = two
    alone = fit(runs, NAMES, n_states=[2], restarts=5)
    assert same_model(alone.best, selection.best)


def test_paired_arms_are_held_out_together(two) -> None:
    runs, _ = two
    groups = [index % 4 for index in range(12)]
    trust = fit(runs, NAMES, n_states=[1], groups=groups).trust
    assert sorted(sorted(groups[i] for i in fold) for fold in trust.folds) == [[k] * 3 for k in range(4)]


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


def test_long_runs_are_thinned_on_one_grid(chains) -> None:
    runs = [np.repeat(run, 15, axis=0) for run in chains(2, n_runs=4, n_steps=80).runs]
    runs[1] = runs[1][:700]
    selection = fit(runs, NAMES, n_states=[2], restarts=1)
    assert selection.best.scaling.every == 2  # 1,200 rows
    assert [len(path) for path in selection.best.paths] == [600, 350, 600, 600]
    found = decode(selection.best, runs)
    np.testing.assert_array_equal(found.paths[1], selection.best.paths[1])
    asked = fit(runs, NAMES, n_states=[2], restarts=1, every=15)
    assert [len(path) for path in asked.best.paths] == [80, 47, 80, 80]
    assert any(each.startswith("Only rows 0, 15, 30, ...") for each in asked.trust.warnings)
    by_hand = fit([run[::15] for run in runs], NAMES, n_states=[2], restarts=1)
    assert same_model(asked.best, by_hand.best)


def test_left_to_right_never_returns(chains) -> None:
    selection = fit(chains(3).runs, NAMES, n_states=[3], restarts=4, topology="left-to-right")
    order = np.argsort((selection.best.transmat > 0).sum(axis=1))[::-1]
    triangular = selection.best.transmat[np.ix_(order, order)]
    assert (triangular[np.tril_indices(3, -1)] == 0).all()
    assert (triangular[np.triu_indices(3)] > 0).all()
    for path in selection.best.paths:
        assert (np.diff(np.argsort(order)[path]) >= 0).all()
    assert selection.table[0].parameters == 2 + 3 + 15 + 15


def test_progress_is_told_and_can_stop(two) -> None:
    runs, _ = two
    seen: list[tuple[int, int]] = []
    fit(runs, NAMES, n_states=[1, 2], restarts=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 24) for done in range(25)]  # 3 + 1 on all runs and in each of five folds
    with pytest.raises(Stopped, match="after 2 of 24"):
        fit(runs, NAMES, n_states=[1, 2], restarts=3, progress=lambda done, total: done == 2)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(runs, NAMES, progress=interrupt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_states": []}, "`n_states`"),
        ({"n_states": [0, 1]}, "`n_states`"),
        ({"restarts": 0}, "`restarts`"),
        ({"seed": -1}, "`seed`"),
        ({"covariance": "spherical"}, "`covariance`"),
        ({"topology": "ring"}, "`topology`"),
        ({"every": 0}, "`every` must be at least 1"),
        ({"n_states": [13]}, "`n_states` must hold whole numbers from 1 to 12"),
        ({"normalize": "none"}, "`normalize`"),
        ({"normalize": "minmax"}, "`normalize`"),
        ({"groups": [1, 2]}, "`groups` must label each of the 12 runs; got 2"),
        ({"groups": [1] * 12}, "at least two groups"),
        (
            {"n_states": [12], "runs": [np.random.default_rng(i).normal(size=(5, 5)) for i in range(6)]},
            "parameters",
        ),
        ({"runs": [np.random.default_rng(0).normal(size=(60, 5))]}, "at least two groups"),
        ({"runs": [np.full((9, 5), np.nan)] * 12}, "at least two groups with usable rows"),
        ({"runs": [np.ones((9, 5)) * i for i in range(12)]}, "every one was dropped"),
    ],
)
def test_refuses_what_cannot_be_fitted(two, change, message) -> None:
    given = {"runs": two[0], "metrics": NAMES, "restarts": 1} | change
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(fit)(**given)  # types are unchecked outside tests
