"""When states are asked for."""

import pytest

from engine.jobs import rounds
from engine.jobs.rounds import Rounds


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(rounds.time, "monotonic", lambda: now[0])
    return now


def test_each_stack_is_asked_again_only_after_its_time(clock):
    asked = Rounds(30.0, lambda: [0, 1])
    assert not asked.due(0)
    clock[0] += 30
    assert asked.due(0)
    assert not asked.due(0)
    clock[0] += 20
    assert asked.due(1)  # late, because its stretch was long
    clock[0] += 10
    assert asked.due(0)
    assert not asked.due(1)


def test_a_stopped_training_is_over_once_every_stack_that_still_trains_was_saved(clock):
    training = [0, 1, 2]
    asked = Rounds(30.0, lambda: training)
    asked.saved(0)
    assert not asked.over
    asked.stop()
    assert asked.due(0)
    assert asked.due(1)
    asked.saved(1)
    assert not asked.over  # what was saved before the stop is not the last state
    asked.saved(0)
    assert not asked.over
    training.remove(2)
    assert asked.over
