import numpy as np
import pytest

from engine.analysis.latent.estimation import estimate
from engine.analysis.latent.processes import Stopped
from engine.analysis.latent.search import CANDIDATES, Search, Task
from engine.analysis.latent.starts import start


@pytest.fixture
def search(chains) -> Search:
    return Search(chains(2, n_runs=4, n_steps=40).runs, ((0, 1), (2, 3)), "full", "ergodic", 0)


def test_tasks_are_all_restarts_and_one_of_each_kind_in_every_fold(search) -> None:
    tasks = search.tasks([1, 3], restarts=6)
    counts = {(fold, k): sum(task[:2] == (fold, k) for task in tasks) for fold in (-1, 0, 1) for k in (1, 3)}
    assert counts == {(-1, 1): 1, (-1, 3): 6, (0, 1): 1, (0, 3): 4, (1, 1): 1, (1, 3): 4}
    assert len(tasks) == len(set(tasks)) == sum(counts.values())


def test_a_fold_fits_on_the_other_runs(search) -> None:
    X, lengths = search.training(1)
    np.testing.assert_array_equal(X, np.concatenate(search.rows[:2]))
    assert lengths.tolist() == [40, 40]
    assert len(search.training(-1)[0]) == 160


def test_two_processes_find_the_same_bits_and_can_be_stopped(search) -> None:
    tasks = search.tasks([2], restarts=2)
    here, apart = search.run(tasks), search.run(tasks, workers=2)
    assert here.keys() == apart.keys()
    for task, found in here.items():
        assert found.loglik == apart[task].loglik
        for name in ("startprob", "transmat", "means", "covars"):
            mine, theirs = (getattr(each.parameters, name) for each in (found, apart[task]))
            np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(Stopped, match="of 6 restarts"):
        search.run(tasks, workers=2, progress=lambda done, total: done >= 1)


def test_a_restart_on_all_runs_takes_the_start_that_begins_to_climb_best(search, monkeypatch) -> None:
    monkeypatch.setattr("engine.analysis.latent.search.SCREENING_ROWS", 90)
    X, lengths = search.training(-1)
    some, some_lengths = np.concatenate([search.rows[0], search.rows[3]]), np.array([40, 40])
    for restart, numbers in ((3, range(3, 27, 4)), (5, range(25, 49, 4))):  # of one kind, none used twice
        starts = [start(X, lengths, 3, "full", number, 0) for number in numbers]
        assert len(starts) == CANDIDATES
        after = [estimate(some, some_lengths, each, max_steps=5).loglik for each in starts]
        expected = estimate(X, lengths, starts[np.argmax(after)])
        assert search.solve(Task(-1, 3, restart)).loglik == expected.loglik
    X, lengths = search.training(0)  # a fold compares on its own runs only
    starts = [start(X, lengths, 3, "full", number, 0) for number in range(2, 26, 4)]
    after = [estimate(X, lengths, each, max_steps=5).loglik for each in starts]
    expected = estimate(X, lengths, starts[np.argmax(after)])
    assert search.solve(Task(0, 3, 2)).loglik == expected.loglik
