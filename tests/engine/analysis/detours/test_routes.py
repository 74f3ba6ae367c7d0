import numpy as np
import pytest
from scipy import integrate

from engine.analysis.detours import dwells, occupancy, routes


def path(text: str) -> np.ndarray:
    return np.array([int(letter) for letter in text], dtype=int)


class TestRoutes:
    def test_groups_by_order_of_states_before_convergence(self) -> None:
        paths = [path("0001110222"), path("000111122"), path("0002222"), path("00011111"), path("")]
        found = routes(paths, [7, None, 6, 4, None])
        # the lone 0 in the first run is passed over; 222 after convergence is not seen
        assert [(route.states, route.runs, route.converged_at) for route in found] == [
            ((0, 1), (0, 1), (7, None)),
            ((0,), (3,), (4,)),
            ((0, 2), (2,), (6,)),
            ((), (4,), (None,)),
        ]

    def test_steps_and_patience(self) -> None:
        found = routes([path("001122")], [30], steps=[np.arange(6) * 10], patience=1)
        assert found[0].states == (0, 1)

    def test_refuses_runs_that_do_not_match(self) -> None:
        with pytest.raises(ValueError, match="`converged_at`"):
            routes([path("0")], [])


def test_occupancy_counts_the_runs_that_are_left() -> None:
    found = occupancy([path("0011"), path("01")], 3)
    assert found.n.tolist() == [2, 2, 1, 1]
    assert found.share.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 1, 0]]


def area(ends: int, followed: int, low: float, high: float) -> float:
    return float(integrate.quad(lambda q: q**ends * (1 - q) ** followed, low, high)[0])


class TestDwells:
    def test_posterior_mean_and_interval_by_integration(self) -> None:
        found = dwells([path("000110"), path("0111")], 2)
        # state 0: ends 2 (after 3 rows, after 1), followed 2; the last stay has no end. State 1: 1 and 3.
        for dwell, ends, followed in zip(found, (2, 1), (2, 3), strict=True):
            total = area(ends, followed, 0, 1)
            mean = area(ends - 1, followed, 0, 1) / total
            inside = area(ends, followed, 1 / dwell.high, 1 / dwell.low) / total
            assert dwell.left == ends
            assert dwell.mean == pytest.approx(mean)
            assert inside == pytest.approx(0.95)
            assert area(ends, followed, 0, 1 / dwell.high) / total == pytest.approx(0.025)
        assert [dwell.stays for dwell in found] == [3, 2]

    def test_covers_the_truth_as_often_as_it_says_although_stays_are_cut_off(self) -> None:
        rng = np.random.default_rng(0)
        covered = 0
        for _ in range(300):
            lengths = rng.geometric(1 / 30, 50)
            dwell = dwells([np.array([0] * min(n, 40) + [1] * max(0, 40 - n)) for n in lengths], 2)[0]
            covered += dwell.low < 30 < dwell.high
        assert abs(covered / 300 - 0.95) < 0.04

    def test_a_state_never_left_has_no_upper_mean_and_confidence_is_checked(self) -> None:
        assert dwells([path("000")], 1)[0].mean == float("inf")
        with pytest.raises(ValueError, match="`confidence`"):
            dwells([path("000")], 1, confidence=95.0)
