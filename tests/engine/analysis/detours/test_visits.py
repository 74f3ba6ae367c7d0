import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.analysis.detours.visits import Stay, beyond_exposure, stays, visits

PATHS = st.lists(st.lists(st.integers(0, 2), max_size=14), min_size=4, max_size=8)


def path(text: str) -> np.ndarray:
    return np.array([int(letter) for letter in text], dtype=int)


class TestVisits:
    @given(PATHS, st.integers(1, 4))
    def test_visited_and_touched_by_looking(self, lists: list[list[int]], patience: int) -> None:
        found = visits([np.array(each, dtype=int) for each in lists], 3, patience, 1)
        for run, rows in enumerate(lists):
            for state in range(3):
                windows = [rows[t : t + patience] for t in range(len(rows) - patience + 1)]
                assert found.visited[run, state] == ([state] * patience in windows)
                assert found.touched[run, state] == (state in rows)

    @given(PATHS, st.integers(1, 3))
    def test_every_visit_has_one_entry_and_excess_adds_up_to_none(
        self, lists: list[list[int]], patience: int
    ) -> None:
        found = visits([np.array(each, dtype=int) for each in lists], 3, patience, 1)
        assert (found.entries.sum(axis=2) == found.visited).all()
        assert (found.exposure >= 0).all()
        explained = (found.exposure.sum(axis=0) > 0) | (found.entries.sum(axis=0) == 0)
        excess = beyond_exposure(found, np.ones((1, len(lists)))).visits[0]
        assert excess.sum(axis=0)[explained.all(axis=1)] == pytest.approx(0, abs=1e-9)

    def test_short_stays_are_passed_over(self) -> None:
        assert stays(path("0001000220111"), 3) == [Stay(0, 0, 6), Stay(1, 10, 3)]
        assert stays(path("0010")) == [Stay(0, 0, 2), Stay(1, 2, 1), Stay(0, 3, 1)]

    def test_exposure_at_a_fork_is_the_departure(self) -> None:
        runs = [path("000111222")] * 3 + [path("000000222")] * 2 + [path("000")]
        found = visits(runs, 3, 3, 2)
        assert found.entries[:, 1, 0].tolist() == [1, 1, 1, 0, 0, 0]
        assert found.exposure[:, 1, 0].tolist() == [1, 1, 1, 1, 1, 0]  # the last run never left
        excess = beyond_exposure(found, np.ones((1, 6)))
        assert excess.visits[0, :, 1] == pytest.approx([0.4, 0.4, 0.4, -0.6, -0.6, 0])
        assert excess.variance[0, :, 1] == pytest.approx([0.24] * 5 + [0])

    def test_exposure_to_an_excursion_is_the_rows(self) -> None:
        runs = [path("000001110000222")] * 3 + [path("0000000222")] * 3
        found = visits(runs, 3, 3, 3)
        # 5 rows before the visit; of 7 rows without, the last 3 leave no room for one
        assert found.exposure[:, 1, 0].tolist() == [5, 5, 5, 4, 4, 4]
        rate = 3 / 27
        assert beyond_exposure(found, np.ones((1, 6))).visits[0, :, 1] == pytest.approx(
            [1 - 5 * rate] * 3 + [-4 * rate] * 3
        )

    def test_a_state_that_always_leads_on_is_part_of_the_way_in(self) -> None:
        runs = [path("000111222333")] * 4 + [path("000333")] * 4
        found = visits(runs, 4, 3, 3)
        assert found.entries[:, 2, 0].tolist() == [1] * 4 + [0] * 4
        assert found.entries[:, 2, 1].sum() == found.exposure[:, 2, 1].sum() == 0

    def test_rates_count_runs_as_often_as_the_draw_holds_them(self) -> None:
        runs = [path("000111222"), path("000222"), path("000222"), path("000222")]
        counts = np.array([2.0, 0.0, 1.0, 1.0])
        drawn = [run for run, count in zip(runs, counts, strict=True) for _ in range(int(count))]
        once = beyond_exposure(visits(runs, 3, 3, 2), counts[None]).visits[0]
        again = beyond_exposure(visits(drawn, 3, 3, 2), np.ones((1, 4))).visits[0]
        assert once[[0, 2, 3]] == pytest.approx(again[[0, 2, 3]])


def test_visits_at_a_constant_rate_have_no_excess_at_any_time_of_convergence(worlds: type) -> None:
    world = worlds.excursions(0, n=4000)
    converged = [run for run, at in enumerate(world.converged_at) if at is not None]
    times = np.array([world.converged_at[run] for run in converged])
    found = visits([world.paths[run][: world.converged_at[run]] for run in converged], 10, 3, 3)
    excess = beyond_exposure(found, np.ones((1, len(converged)))).visits[0, :, 9]
    visited = found.visited[:, 9].astype(float)
    for group in np.array_split(np.argsort(times), 6):
        assert abs(excess[group].mean()) < 4 * excess[group].std() / np.sqrt(len(group)) + 0.01
    assert np.corrcoef(visited, times)[0, 1] > 0.4  # what the correction takes away
    assert abs(np.corrcoef(excess, times)[0, 1]) < 0.06
