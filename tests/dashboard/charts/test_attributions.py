import numpy as np
import pandas as pd

from dashboard.charts import attributions, choice_of_k, fingerprints, move_times
from dashboard.charts.palette import STATES


def test_bars_of_a_transition_have_the_colour_of_the_state_entered_and_lines_of_their_mean_size():
    frame = pd.DataFrame(
        {"metric": ["a", "b"], "gradient": [-1.0, 0.5], "strength": [3.0, 0.5], "difference": [0.1, -2]}
    )
    drawn = attributions.chart(frame, 2).to_dict()
    (derivatives, means) = drawn["layer"]
    line, bar = derivatives["layer"]
    assert bar["mark"]["color"] == means["mark"]["color"] == STATES[2]
    rows = (
        drawn["datasets"][line["data"]["name"]] if "data" in line else next(iter(drawn["datasets"].values()))
    )
    assert [row["reach"] for row in rows] == [-3.0, 0.5]
    assert bar["encoding"]["x"]["scale"]["domain"][1] >= 3
    assert means["encoding"]["x"]["scale"]["domain"][1] >= 2
    assert drawn["resolve"]["scale"]["x"] == "independent"


def test_layers_are_told_from_the_whole_network():
    means = np.arange(6.0).reshape(2, 3)
    variances = np.full((2, 3), 4.0)
    frame = fingerprints.tidy(means, variances, ["l2", "block/1/l2", "head/l2"], ["A", "B", "C"])
    assert list(frame["layer"]) == [fingerprints.WHOLE, "block/1", "head"] * 2
    assert list(frame["z"]) == [0, 1, 2, 3, 4, 5]
    assert set(frame["sd"]) == {2.0}
    assert list(frame["state"]) == ["State 0"] * 3 + ["State 1"] * 3


def test_the_rule_of_one_standard_error_is_drawn_below_the_highest():
    table = pd.DataFrame(
        {"n_states": [1, 2, 3], "heldout_loglik": [-3.0, -1.0, -0.9], "heldout_se": [0.5, 0.2, 0.3],
         "train_loglik": [-3.0, -1.0, -0.8], "bic": [30.0, 12.0, 14.0], "parameters": [3, 8, 15]}
    )  # fmt: skip
    restarts = pd.DataFrame({"n_states": [2, 2], "shortfall": [0.0, 0.4]})
    drawn = choice_of_k.chart(table, 2, restarts).to_dict()
    values = [row for rows in drawn["datasets"].values() for row in rows]
    assert [row["bar"] for row in values if "bar" in row] == [-0.9 - 0.3]
    assert {row["n_states"]: row["above"] for row in values if "above" in row} == {1: 18, 2: 0, 3: 2}


def test_moves_are_in_the_order_given():
    moments = pd.DataFrame({"move": ["x"], "state": ["State 1"], "step": [3], "arm": ["SS"], "seed": [0]})
    medians = pd.DataFrame({"move": ["x"], "median": [3.0], "low": [np.nan], "high": [np.nan], "n": [1]})
    drawn = move_times.chart(moments, medians, ["y", "x"], 2).to_dict()
    assert drawn["layer"][0]["encoding"]["y"]["sort"] == ["y", "x"]
