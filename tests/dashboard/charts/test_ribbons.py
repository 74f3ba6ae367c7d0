import numpy as np

from dashboard.charts import dwell, ribbons, transitions


def test_stretches_cover_a_run_without_a_gap_and_keep_its_states():
    rng = np.random.default_rng(0)
    steps = np.arange(0, 3200, 32)
    path = rng.integers(0, 3, len(steps))
    frame = ribbons.stretches(steps, path, rng.uniform(0.3, 1, len(steps)), "SS", 4)
    assert (frame["start"].to_numpy()[1:] == frame["end"].to_numpy()[:-1]).all()
    assert frame["start"].iloc[0] == 0
    assert frame["end"].iloc[-1] == 3200
    for step, state in zip(steps, path, strict=True):
        covering = frame[(frame["start"] <= step) & (step < frame["end"])]
        assert list(covering["state"]) == [f"State {state}"]


def test_visits_count_steps_and_mark_the_one_that_the_end_cut_short():
    frame = dwell.visits(np.array([0, 10, 20, 30, 40]), np.array([0, 0, 1, 1, 0]))
    assert list(frame["steps"]) == [20, 20, 0]
    assert list(frame["censored"]) == [False, False, True]


def test_moves_are_shares_of_departures():
    moves = transitions.edges(np.array([[0.9, 0.08, 0.02], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]]))
    found = {(a, b): p for a, b, p in moves.itertuples(index=False)}
    assert found == {(0, 1): 0.08 / 0.1, (0, 2): 0.02 / 0.1, (2, 0): 1.0} or np.allclose(
        [found[0, 1], found[0, 2], found[2, 0]], [0.8, 0.2, 1.0]
    )
    assert set(found) == {(0, 1), (0, 2), (2, 0)}
