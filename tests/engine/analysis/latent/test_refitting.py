import json

import numpy as np
import pytest

from engine.analysis.latent import Stopped, fit, from_record, to_record
from engine.analysis.latent.estimation import estimate
from engine.analysis.latent.model import decode_rows
from engine.analysis.latent.refitting import Refitting
from engine.analysis.refits import refits_of

NAMES = list("abcde")


@pytest.fixture(scope="module")
def fitted(chains):
    runs = [run[:60] for run in chains(3, n_runs=8).runs]
    runs[3][2:] = np.nan  # left out
    runs[5][40:] = np.nan
    groups = [0, 0, 1, 1, 2, 2, 3, 3]
    return runs, groups, fit(runs, NAMES, [3], restarts=2, groups=groups, seed=5, refits=4)


def test_samples_draw_groups_with_replacement(fitted) -> None:
    _, _, selection = fitted
    counts = selection.refits.counts
    assert counts.shape == (4, 8)
    assert (counts[:, [0, 4, 6]] == counts[:, [1, 5, 7]]).all()
    assert (counts[:, 3] == 0).all()
    assert (counts[:, [0, 2, 4, 6]].sum(axis=1) == 4).all()
    assert len(np.unique(counts, axis=0)) > 1


def test_a_refit_is_em_on_the_sample_from_the_fit_itself(fitted) -> None:
    runs, _, selection = fitted
    model = selection.best
    rows = model.scaling.rows_of(runs)
    for number, counts in enumerate(selection.refits.counts):
        drawn = [rows[run] for run, count in enumerate(counts) for _ in range(count)]
        X, lengths = np.concatenate(drawn), np.array([len(run) for run in drawn])
        again = estimate(X, lengths, model.parameters).parameters
        assert again is not None
        expected = decode_rows(again, [row for run, row in enumerate(rows) if run != 3]).paths
        found = [each[number] for run, each in enumerate(selection.refits.paths) if run != 3]
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)  # states so far apart keep their numbers
    assert [each.shape for each in selection.refits.paths] == [(4, len(path)) for path in model.paths]


def test_states_are_matched_to_those_of_the_fit(chains) -> None:
    truth = chains(3, n_runs=6, n_steps=60)
    best = fit(truth.runs, NAMES, [3], restarts=2).best
    order = np.array([2, 0, 1])
    renamed = [np.argsort(order)[path] for path in best.paths]
    rows = best.scaling.rows_of(truth.runs)
    work = Refitting(rows, range(6), best.parameters.permuted(order), best.paths, 0)
    assert (work.solve(0) == np.concatenate(best.paths)).mean() > 0.97
    assert (np.concatenate(renamed) == np.concatenate(best.paths)).mean() < 0.5


def test_a_state_without_counterpart_is_marked(chains) -> None:
    truth = chains(3, n_runs=6, n_steps=60)
    best = fit(truth.runs, NAMES, [3], restarts=2).best
    merged = [np.where(path == 2, 1, path) for path in best.paths]
    refit = Refitting(best.scaling.rows_of(truth.runs), range(6), best.parameters, merged, 0).solve(0)
    assert refit is not None
    assert set(refit.tolist()) == {-1, 0, 1}


def test_kept_refits_come_back_for_any_runs(fitted) -> None:
    _, _, selection = fitted
    steps = [np.arange(60)] * 8
    summary, arrays = to_record(selection, [{"arm": "a"}] * 8, steps, 2, 5)
    assert arrays["refit_path"].dtype == np.int8
    assert arrays["refit_path"].shape == (4, len(arrays["path"]))
    told = json.loads(json.dumps(summary))["refits"]
    same = [float((path == arrays["path"]).mean()) for path in arrays["refit_path"]]
    assert told == {"count": 4, "agreement": pytest.approx(same)}
    assert min(same) > 0.9
    chosen = refits_of(arrays, [5, 0])
    assert chosen is not None
    np.testing.assert_array_equal(chosen.paths[0], selection.refits.paths[5])
    np.testing.assert_array_equal(chosen.paths[1], selection.refits.paths[0])
    np.testing.assert_array_equal(chosen.counts, selection.refits.counts[:, [5, 0]])
    assert len(refits_of(arrays).paths) == 8
    assert from_record(summary, arrays).n_states == 3


def test_a_fit_without_refits_keeps_none(chains) -> None:
    runs = [run[:40] for run in chains(2, n_runs=4).runs]
    selection = fit(runs, NAMES, [2], restarts=1)
    assert selection.refits is None
    summary, arrays = to_record(selection, [{}] * 4, [np.arange(40)] * 4, 1, 0)
    assert "refits" not in summary
    assert refits_of(arrays) is None


def test_refits_do_not_depend_on_the_order_of_runs(fitted) -> None:
    runs, groups, selection = fitted
    order = np.array([6, 2, 0, 7, 1, 3, 5, 4])
    other = fit(
        [runs[run] for run in order],
        NAMES,
        [3],
        restarts=2,
        groups=[groups[run] for run in order],
        seed=5,
        refits=4,
    )
    np.testing.assert_array_equal(other.refits.counts, selection.refits.counts[:, order])
    for position, run in enumerate(order):
        np.testing.assert_array_equal(other.refits.paths[position], selection.refits.paths[run])


def test_progress_counts_refits_and_stops_among_them(chains) -> None:
    runs = [run[:40] for run in chains(2, n_runs=4).runs]
    seen: list[tuple[int, int]] = []
    fit(runs, NAMES, [1], refits=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 8) for done in [*range(6), 5, 6, 7, 8]]
    with pytest.raises(Stopped, match="after 1 of 3"):
        fit(runs, NAMES, [1], refits=3, progress=lambda done, total: done == 6)
    with pytest.raises(ValueError, match="`refits`"):
        fit(runs, NAMES, [1], refits=-1)
