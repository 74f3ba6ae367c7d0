import numpy as np
import pytest

from engine.connectivity.barriers import barriers
from engine.connectivity.path import Path

FIVE = np.linspace(0, 1, 5)


def test_by_hand():
    found = barriers(Path(FIVE, np.array([1.0, 2.0, 5.0, 4.0, 3.0]), np.array([0.9, 0.8, 0.2, 0.5, 0.7])))
    assert found.loss_chord == pytest.approx(5 - 2)
    assert found.loss_mean == pytest.approx(5 - 2)
    assert found.accuracy_chord == pytest.approx(0.8 - 0.2)
    assert found.accuracy_mean == pytest.approx(0.8 - 0.2)
    assert found.at == 0.5


def test_the_two_definitions_differ_where_the_ends_do():
    found = barriers(Path(FIVE, np.array([0.0, 1.0, 2.0, 3.0, 4.0]), None))
    assert found.loss_chord == 0
    assert found.loss_mean == 2
    found = barriers(Path(FIVE, np.array([0.0, 3.0, 3.5, 3.7, 4.0]), None))
    assert found.loss_chord == pytest.approx(2)
    assert found.loss_mean == pytest.approx(2)
    assert found.at == 0.25


def test_a_path_below_its_ends_has_no_barrier():
    found = barriers(Path(FIVE, np.array([2.0, 1.0, 0.5, 1.0, 2.0]), np.array([0.5, 0.6, 0.9, 0.6, 0.5])))
    assert found.loss_chord == found.loss_mean == 0
    assert found.accuracy_chord == found.accuracy_mean == 0


def test_without_accuracy_there_is_no_barrier_of_it():
    found = barriers(Path(FIVE, np.ones(5), None))
    assert found.accuracy_chord is None
    assert found.accuracy_mean is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("at", [0, 2, 4])
def test_an_overflow_is_an_infinite_barrier_and_spoils_nothing_else(wrong, at):
    loss = np.ones(5)
    loss[at:] = wrong
    found = barriers(Path(FIVE, loss, np.array([0.9, 0.8, 0.2, 0.5, 0.7])))
    assert found.loss_chord == found.loss_mean == np.inf
    assert found.at == FIVE[at]
    assert found.accuracy_chord == pytest.approx(0.6)


def test_a_path_that_does_not_reach_its_ends_has_no_chord():
    with pytest.raises(ValueError, match=r"`path` must go from lambda 0 to 1; got 0\.25 to 1"):
        barriers(Path(FIVE[1:], np.ones(4), None))
